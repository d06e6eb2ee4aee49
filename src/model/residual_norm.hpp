#pragma once
// The norm at the entry of each half of a block.

#include "strait/kernels/rms_norm.hpp"

namespace strait::model {

/// x += branch unless branch is empty, then y = rms_norm(x), in one pass.
template <class T>
void residual_norm(const ExecutionSpace& exec, const Matrix<T>& y, const Vector<Compute<T>>& rstd,
                   const Matrix<T>& x, const Matrix<T>& branch, const Vector<T>& gain, double epsilon) {
  if (branch.size() == 0) {
    kernels::rms_norm_forward<T>(exec, y, rstd, x, gain, epsilon);
  } else {
    kernels::add_rms_norm_forward<T>(exec, y, rstd, x, branch, gain, epsilon);
  }
}

}  // namespace strait::model
