#pragma once
// Matrix multiplication: the one facade over KokkosBlas on hosts and cuBLAS on CUDA. Products of bfloat16
// numbers are added up in float: by tensor cores on CUDA, on hosts by BLAS on panels that are widened to
// float.

#include "strait/core/bits16.hpp"
#include "strait/core/tensor.hpp"

namespace strait::kernels {

enum class Transpose { no, yes };

struct MatmulOptions {
  Transpose a = Transpose::no;
  Transpose b = Transpose::no;
  double alpha = 1.0;
  double beta = 0.0;  ///< 0 never reads `c`; 1 accumulates
};

/// c [m, n] = alpha * op(a) [m, k] * op(b) [k, n] + beta * c. Rows may be strided, columns are contiguous.
/// Extents that do not match are a programming error. k = 0 scales c by beta. c has the type of a and b or
/// that of their sums, Compute<T>.
template <class C, class T = C>
void matmul(const ExecutionSpace& exec, const Matrix<C>& c, ConstMatrix<T> a, ConstMatrix<T> b,
            MatmulOptions options = {});

/// y [tokens, out] = x [tokens, in] * weight [out, in]^T, PyTorch's linear without bias.
template <class T>
void linear_forward(const ExecutionSpace& exec, const Matrix<T>& y, ConstMatrix<T> x, ConstMatrix<T> weight);

/// dx [tokens, in] = dy [tokens, out] * weight [out, in]; `accumulate` adds to dx.
template <class T>
void linear_backward_input(const ExecutionSpace& exec, const Matrix<T>& dx, ConstMatrix<T> dy,
                           ConstMatrix<T> weight, bool accumulate = false);

/// dweight [out, in] += dy [tokens, out]^T * x [tokens, in].
template <class T>
void linear_backward_weight(const ExecutionSpace& exec, const Matrix<Compute<T>>& dweight, ConstMatrix<T> dy,
                            ConstMatrix<T> x);

}  // namespace strait::kernels
