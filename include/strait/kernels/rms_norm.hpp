#pragma once
// Root-mean-square normalisation (Zhang & Sennrich 2019): y = x / rms(x) * gain.

#include "strait/core/bits16.hpp"
#include "strait/core/tensor.hpp"

namespace strait::kernels {

/// y [tokens, hidden] = x * rstd * gain, rstd [tokens] = 1 / sqrt(mean(x^2) + epsilon).
template <class T>
void rms_norm_forward(const ExecutionSpace& exec, const Matrix<T>& y, const Vector<Compute<T>>& rstd,
                      ConstMatrix<T> x, ConstVector<T> gain, double epsilon);

/// x [tokens, hidden] += branch, then as rms_norm_forward on the sum: the residual connection in the same
/// pass.
template <class T>
void add_rms_norm_forward(const ExecutionSpace& exec, const Matrix<T>& y, const Vector<Compute<T>>& rstd,
                          const Matrix<T>& x, ConstMatrix<T> branch, ConstVector<T> gain, double epsilon);

/// y = x * rstd * gain again, from the saved rstd.
template <class T>
void rms_norm_recompute(const ExecutionSpace& exec, const Matrix<T>& y, ConstMatrix<T> x,
                        ConstVector<Compute<T>> rstd, ConstVector<T> gain);

/// dx [tokens, hidden] = residual + d(norm)/dx * dy. `residual` (may alias dx) is the gradient that reaches x
/// past the branch; an empty view means none.
template <class T>
void rms_norm_backward_input(const ExecutionSpace& exec, const Matrix<T>& dx, ConstMatrix<T> dy,
                             ConstMatrix<T> residual, ConstMatrix<T> x, ConstVector<Compute<T>> rstd,
                             ConstVector<T> gain);

/// dgain [hidden] += sum over tokens of dy * x * rstd, in a fixed order.
template <class T>
void rms_norm_backward_weight(const ExecutionSpace& exec, const Vector<Compute<T>>& dgain, ConstMatrix<T> dy,
                              ConstMatrix<T> x, ConstVector<Compute<T>> rstd);

}  // namespace strait::kernels
