#pragma once
// SwiGLU (Shazeer 2020): silu(gate) * up.

#include "strait/core/tensor.hpp"

namespace strait::kernels {

/// y [tokens, ffn] = silu(gate) * up, with gate_up [tokens, 2 ffn] = [gate | up].
template <class T>
void swiglu_forward(const ExecutionSpace& exec, const Matrix<T>& y, ConstMatrix<T> gate_up);

/// dgate_up [tokens, 2 ffn] from dy [tokens, ffn]; also writes y again when it is not empty (the weight
/// gradient of the down projection needs it). dgate_up may alias gate_up.
template <class T>
void swiglu_backward(const ExecutionSpace& exec, const Matrix<T>& dgate_up, const Matrix<T>& y,
                     ConstMatrix<T> gate_up, ConstMatrix<T> dy);

}  // namespace strait::kernels
