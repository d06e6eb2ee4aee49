#pragma once
// The attention half of a block: residual sum, norm, fused query-key-value product, rotary embedding, causal
// attention, output product. Without its own residual sum: the next half adds it in its norm's pass.

#include "strait/kernels/attention.hpp"

#include "llama_parameters.hpp"

namespace strait::model {

/// What one micro-batch leaves for the backward.
template <class T>
struct AttentionState {
  Matrix<T> x;              ///< [tokens, hidden], the residual stream at the entry
  Vector<Compute<T>> rstd;  ///< [tokens]
  Matrix<T> qkv;            ///< [tokens, qkv_width], rotated
  Matrix<T> heads;          ///< [tokens, hidden], of all heads side by side
  Matrix<Compute<T>> lse;   ///< [tokens, heads]
  Matrix<T> dqkv;           ///< as qkv, from backward_input to backward_weight
};

template <class T>
struct AttentionLayer {
  kernels::AttentionShape shape;
  double norm_epsilon;
  Matrix<Compute<T>> rope_table;  ///< [context, head_dim]
  Matrix<T> normalised;           ///< [tokens, hidden], work space

  /// branch [tokens, hidden] is added to state.x first, unless empty. out [tokens, hidden] is what the
  /// residual stream gains.
  void forward(const ExecutionSpace& exec, const Matrix<T>& out, const AttentionState<T>& state,
               const AttentionParameters<T>& weights, const Matrix<T>& branch) const;

  /// dx [tokens, hidden] at state.x from d [tokens, hidden] at the sum of state.x and out; adds the gradient
  /// of the norm's gain. dx must not alias d.
  void backward_input(const ExecutionSpace& exec, const Matrix<T>& dx, const Matrix<T>& d,
                      const AttentionState<T>& state, const AttentionParameters<T>& weights,
                      const AttentionParameters<Compute<T>>& gradients) const;

  /// Adds the gradients of the products.
  void backward_weight(const ExecutionSpace& exec, const Matrix<T>& d, const AttentionState<T>& state,
                       const AttentionParameters<T>& weights,
                       const AttentionParameters<Compute<T>>& gradients) const;

 private:
  void rotate(const ExecutionSpace& exec, const Matrix<T>& qkv, bool back) const;
};

extern template struct AttentionLayer<float>;
extern template struct AttentionLayer<double>;
extern template struct AttentionLayer<bfloat16>;

}  // namespace strait::model
