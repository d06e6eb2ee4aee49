#pragma once
// Many independent products of one shape.

#include "strait/kernels/matmul.hpp"

namespace strait::kernels {

/// c(item) = alpha op(a(item)) op(b(item)) + beta c(item) for items [0, batch); c, a and b map an item to its
/// matrix, and no two items write to the same entry.
template <class T, class C, class A, class B>
void batched_matmul(const ExecutionSpace& exec, int batch, const C& c, const A& a, const B& b,
                    const MatmulOptions& options) {
  for (int item = 0; item < batch; ++item) matmul<T>(exec, c(item), a(item), b(item), options);
}

}  // namespace strait::kernels
