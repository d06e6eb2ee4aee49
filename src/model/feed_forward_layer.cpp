#include "feed_forward_layer.hpp"

#include "strait/kernels/matmul.hpp"
#include "strait/kernels/swiglu.hpp"

#include "residual_norm.hpp"

namespace strait::model {

template <class T>
void FeedForwardLayer<T>::expand(const ExecutionSpace& exec, const FeedForwardState<T>& state,
                                 const FeedForwardParameters<T>& weights, const Matrix<T>& branch) const {
  residual_norm(exec, normalised, state.rstd, state.x, branch, weights.gain, norm_epsilon);
  kernels::linear_forward<T>(exec, state.gate_up, normalised, weights.gate_up);
}

template <class T>
void FeedForwardLayer<T>::forward(const ExecutionSpace& exec, const Matrix<T>& out,
                                  const FeedForwardState<T>& state, const FeedForwardParameters<T>& weights,
                                  const Matrix<T>& branch) const {
  expand(exec, state, weights, branch);
  kernels::swiglu_forward<T>(exec, state.hidden, state.gate_up);
  kernels::linear_forward<T>(exec, out, state.hidden, weights.down);
}

template <class T>
void FeedForwardLayer<T>::backward_input(const ExecutionSpace& exec, const Matrix<T>& dx, const Matrix<T>& d,
                                         const FeedForwardState<T>& state,
                                         const FeedForwardParameters<T>& weights,
                                         const FeedForwardParameters<Compute<T>>& gradients) const {
  kernels::linear_backward_input<T>(exec, dhidden, d, weights.down);
  kernels::swiglu_backward<T>(exec, state.gate_up, state.hidden, state.gate_up, dhidden);
  const Matrix<T>& dy = normalised;
  kernels::linear_backward_input<T>(exec, dy, state.gate_up, weights.gate_up);
  kernels::rms_norm_backward_weight<T>(exec, gradients.gain, dy, state.x, state.rstd);
  kernels::rms_norm_backward_input<T>(exec, dx, dy, d, state.x, state.rstd, weights.gain);
}

template <class T>
void FeedForwardLayer<T>::backward_weight(const ExecutionSpace& exec, const Matrix<T>& d,
                                          const FeedForwardState<T>& state,
                                          const FeedForwardParameters<T>& weights,
                                          const FeedForwardParameters<Compute<T>>& gradients) const {
  kernels::linear_backward_weight<T>(exec, gradients.down, d, state.hidden);
  kernels::rms_norm_recompute<T>(exec, normalised, state.x, state.rstd, weights.gain);
  kernels::linear_backward_weight<T>(exec, gradients.gate_up, state.gate_up, normalised);
}

template struct FeedForwardLayer<float>;
template struct FeedForwardLayer<double>;
template struct FeedForwardLayer<bfloat16>;

}  // namespace strait::model
