#pragma once
// Subspaces that follow what they have to carry.

#include "strait/core/tensor.hpp"

namespace strait::optim {

/// One step of gradient descent on the Grassmann manifold towards the subspace span(U) that loses least of
/// vectors g: minimises sum |g - U U^T g|^2. Its gradient is -2 (I - U U^T) C U with C = sum g g^T, so
///
///   next = qf(U + rate (I - U U^T) C U / s),   s = tr(U^T C U) / rank,
///
/// qf the Q of a Q R. The division by s, the mean energy of a direction of U, makes the step a matter of
/// directions: the g may have any size. next and u [hidden, rank], u orthonormal; cu = C U, same shape, is
/// overwritten. Where U carries nothing (s = 0), next = U. Waits.
template <class T>
void grassmann_step(const ExecutionSpace& exec, const Matrix<T>& next, ConstMatrix<T> u, const Matrix<T>& cu,
                    double rate);

}  // namespace strait::optim
