#include "attention_layer.hpp"

#include "strait/kernels/matmul.hpp"
#include "strait/kernels/rope.hpp"

#include "residual_norm.hpp"

namespace strait::model {

template <class T>
void AttentionLayer<T>::rotate(const ExecutionSpace& exec, const Matrix<T>& qkv, bool back) const {
  // Query heads and key heads lie side by side: one call turns both.
  kernels::rope<T>(exec, qkv, rope_table, shape.heads + shape.kv_heads, shape.head_dim, shape.sequence_length,
                   back ? kernels::Rotation::backward : kernels::Rotation::forward);
}

template <class T>
void AttentionLayer<T>::forward(const ExecutionSpace& exec, const Matrix<T>& out,
                                const AttentionState<T>& state, const AttentionParameters<T>& weights,
                                const Matrix<T>& branch) const {
  residual_norm(exec, normalised, state.rstd, state.x, branch, weights.gain, norm_epsilon);
  kernels::linear_forward<T>(exec, state.qkv, normalised, weights.qkv);
  rotate(exec, state.qkv, false);
  kernels::attention_forward<T>(exec, state.heads, state.lse, state.qkv, shape);
  kernels::linear_forward<T>(exec, out, state.heads, weights.output);
}

template <class T>
void AttentionLayer<T>::backward_input(const ExecutionSpace& exec, const Matrix<T>& dx, const Matrix<T>& d,
                                       const AttentionState<T>& state, const AttentionParameters<T>& weights,
                                       const AttentionParameters<Compute<T>>& gradients) const {
  const Matrix<T>& dheads = normalised;
  kernels::linear_backward_input<T>(exec, dheads, d, weights.output);
  kernels::attention_backward<T>(exec, state.dqkv, dheads, state.qkv, state.heads, state.lse, shape);
  rotate(exec, state.dqkv, true);
  const Matrix<T>& dy = normalised;
  kernels::linear_backward_input<T>(exec, dy, state.dqkv, weights.qkv);
  kernels::rms_norm_backward_weight<T>(exec, gradients.gain, dy, state.x, state.rstd);
  kernels::rms_norm_backward_input<T>(exec, dx, dy, d, state.x, state.rstd, weights.gain);
}

template <class T>
void AttentionLayer<T>::backward_weight(const ExecutionSpace& exec, const Matrix<T>& d,
                                        const AttentionState<T>& state, const AttentionParameters<T>& weights,
                                        const AttentionParameters<Compute<T>>& gradients) const {
  kernels::linear_backward_weight<T>(exec, gradients.output, d, state.heads);
  kernels::rms_norm_recompute<T>(exec, normalised, state.x, state.rstd, weights.gain);
  kernels::linear_backward_weight<T>(exec, gradients.qkv, state.dqkv, normalised);
}

template struct AttentionLayer<float>;
template struct AttentionLayer<double>;
template struct AttentionLayer<bfloat16>;

}  // namespace strait::model
