#pragma once
// Many independent products of one shape.

#include "strait/kernels/matmul.hpp"

#include "host_product.hpp"

#include <type_traits>

namespace strait::kernels {

/// Product `item` of a batch, by the one thread that calls.
template <class T, class C, class A, class B>
struct HostProducts {
  C c;
  A a;
  B b;
  MatmulOptions options;
  void operator()(std::int64_t item) const {
    const int i = static_cast<int>(item);
    HostProduct<T>(c(i), a(i), b(i), options).compute();
  }
};

/// c(item) = alpha op(a(item)) op(b(item)) + beta c(item) for items [0, batch); c, a and b map an item to its
/// matrix without reference count, and no two items write to the same entry.
template <class T, class C, class A, class B>
void batched_matmul(const ExecutionSpace& exec, int batch, const C& c, const A& a, const B& b,
                    const MatmulOptions& options) {
  if constexpr (host_accessible && std::is_floating_point_v<T>) {
    if (batch > 1 && exec.concurrency() > 1) {
      Kokkos::parallel_for("strait::matmul::batch", RangePolicy(exec, 0, batch),
                           HostProducts<T, C, A, B>{c, a, b, options});
      return;
    }
  }
  for (int item = 0; item < batch; ++item) matmul<T>(exec, c(item), a(item), b(item), options);
}

}  // namespace strait::kernels
