#pragma once
// Adam in a rotated basis, and the order of a basis' vectors (arXiv 2602.03515; SOAP, arXiv 2409.11321).

#include "strait/core/tensor.hpp"

namespace strait::kernels {

struct RotatedAdamOptions {
  double beta2 = 0.999;
  double epsilon = 1e-8;
};

/// s = beta2 s + (1 - beta2) g^2;  d <- d / (sqrt(s) + epsilon). All [n]: g the gradient and d its running
/// mean, both in the rotated basis, where s is kept.
template <class T>
void rotated_adam(const ExecutionSpace& exec, const Vector<T>& d, const Vector<T>& s, ConstVector<T> g,
                  const RotatedAdamOptions& options);

/// e [n] = the inner products of row i of a and of b, both [n, m].
template <class T>
void row_products(const ExecutionSpace& exec, const Vector<T>& e, ConstMatrix<T> a, ConstMatrix<T> b);

/// position [n] = the place of e(i) when e [n] is sorted, the largest first; equals keep their order.
template <class T>
void descending_positions(const ExecutionSpace& exec, const Vector<int>& position, ConstVector<T> e);

/// to(row_position(i), column_position(j)) = from(i, j), where to has that row; a position without entries
/// leaves rows or columns where they are. to and from differ.
template <class T>
void move_to_positions(const ExecutionSpace& exec, const Matrix<T>& to, ConstMatrix<T> from,
                       const Vector<int>& row_position, const Vector<int>& column_position);

}  // namespace strait::kernels
