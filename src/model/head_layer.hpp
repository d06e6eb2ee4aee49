#pragma once
// The end of the model: final norm, output projection and cross-entropy.

#include "strait/core/bits16.hpp"

#include "llama_parameters.hpp"

namespace strait::model {

template <class T>
struct HeadLayer {
  double norm_epsilon;
  Matrix<T> normalised;     ///< [tokens, hidden], work space
  Vector<Compute<T>> rstd;  ///< [tokens], work space

  /// Sum of the cross-entropy over tokens, in nats, into loss_sum [1] on the device.
  void forward(const ExecutionSpace& exec, const Vector<double>& loss_sum, const Matrix<T>& x,
               const TokenIds& targets, const HeadParameters<T>& weights) const;

  /// The same, dx [tokens, hidden] (assigned) and the gradients of the weights (added), all scaled by
  /// `loss_scale`.
  void backward(const ExecutionSpace& exec, const Vector<double>& loss_sum, const Matrix<T>& dx,
                const Matrix<T>& x, const TokenIds& targets, const HeadParameters<T>& weights,
                const HeadParameters<Compute<T>>& gradients, double loss_scale) const;

  /// logits [n, vocab] of x [n, hidden], n <= tokens.
  void logits(const ExecutionSpace& exec, const Matrix<Compute<T>>& logits, const Matrix<T>& x,
              const HeadParameters<T>& weights) const;
};

extern template struct HeadLayer<float>;
extern template struct HeadLayer<double>;
extern template struct HeadLayer<bfloat16>;

}  // namespace strait::model
