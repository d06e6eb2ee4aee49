#pragma once
// Matrix multiplication: the one facade over KokkosBlas (and, for bf16 on CUDA, cuBLAS).

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
/// Extents that do not match are a programming error. k = 0 scales c by beta.
template <class T>
void matmul(const ExecutionSpace& exec, const Matrix<T>& c, ConstMatrix<T> a, ConstMatrix<T> b,
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
void linear_backward_weight(const ExecutionSpace& exec, const Matrix<T>& dweight, ConstMatrix<T> dy,
                            ConstMatrix<T> x);

}  // namespace strait::kernels
