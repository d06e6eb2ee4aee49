#pragma once
// Gradients of older weights, brought nearer to those of the present ones.

#include "strait/core/tensor.hpp"

namespace strait::kernels {

struct DelayCompensationOptions {
  double strength;              ///< lambda
  double gradient_scale = 1.0;  ///< clipping factor, applied as the gradient is read
};

/// c = g + lambda g .* g .* (now - then), with g scaled: the first order in the weights' change, the Hessian
/// replaced by the diagonal of g g^T (DC-ASGD, Zheng et al., arXiv 1609.08326). All [n]; g is the gradient at
/// `then`.
template <class T>
void compensate_delay(const ExecutionSpace& exec, const Vector<T>& c, ConstVector<T> g, ConstVector<T> now,
                      ConstVector<T> then, const DelayCompensationOptions& options);

}  // namespace strait::kernels
