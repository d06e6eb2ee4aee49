#pragma once
// The feed-forward half of a block: residual sum, norm, fused gate-up product, SwiGLU, down product. Without
// its own residual sum: the next half adds it in its norm's pass.

#include "strait/core/bits16.hpp"

#include "llama_parameters.hpp"

namespace strait::model {

/// What one micro-batch leaves for the backward.
template <class T>
struct FeedForwardState {
  Matrix<T> x;              ///< [tokens, hidden], the residual stream at the entry
  Vector<Compute<T>> rstd;  ///< [tokens]
  Matrix<T> gate_up;        ///< [tokens, 2 ffn_hidden]; from backward_input on its gradient
  Matrix<T>
      hidden;  ///< [tokens, ffn_hidden], silu(gate) * up; may be shared by all states of a fused backward
};

template <class T>
struct FeedForwardLayer {
  double norm_epsilon;
  Matrix<T> normalised;  ///< [tokens, hidden], work space
  Matrix<T> dhidden;     ///< [tokens, ffn_hidden], work space

  /// branch [tokens, hidden] is added to state.x first, unless empty. out [tokens, hidden] is what the
  /// residual stream gains.
  void forward(const ExecutionSpace& exec, const Matrix<T>& out, const FeedForwardState<T>& state,
               const FeedForwardParameters<T>& weights, const Matrix<T>& branch) const;

  /// The part of forward that fills the state, for recomputation.
  void expand(const ExecutionSpace& exec, const FeedForwardState<T>& state,
              const FeedForwardParameters<T>& weights, const Matrix<T>& branch) const;

  /// dx [tokens, hidden] at state.x from d [tokens, hidden] at the sum of state.x and out; adds the gradient
  /// of the norm's gain. dx must not alias d. Fills state.hidden again.
  void backward_input(const ExecutionSpace& exec, const Matrix<T>& dx, const Matrix<T>& d,
                      const FeedForwardState<T>& state, const FeedForwardParameters<T>& weights,
                      const FeedForwardParameters<Compute<T>>& gradients) const;

  /// Adds the gradients of the products.
  void backward_weight(const ExecutionSpace& exec, const Matrix<T>& d, const FeedForwardState<T>& state,
                       const FeedForwardParameters<T>& weights,
                       const FeedForwardParameters<Compute<T>>& gradients) const;
};

extern template struct FeedForwardLayer<float>;
extern template struct FeedForwardLayer<double>;
extern template struct FeedForwardLayer<bfloat16>;

}  // namespace strait::model
