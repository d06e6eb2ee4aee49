#pragma once
// The layers of a stage with what they keep as S, and the steps that their passes are made of.

#include "strait/model/stage.hpp"

#include "activations.hpp"
#include "head_layer.hpp"

#include <vector>

namespace strait::model {

/// Residual streams and their gradients come in and leave as Compute<S>, and so do the gradients of weights,
/// which add up in `gradients`.
template <class S>
class StageLayers {
 public:
  using Wide = Compute<S>;

  StageLayers(const ExecutionSpace& exec, const LlamaConfig& config, const StageSpan& span,
              const StageOptions& options, const LlamaParameters& parameters, const Vector<Wide>& gradients);

  // As those of Stage, whose weights `flat` begins with.
  MutableTokenIds ids(int slot) const { return ids_[slot]; }
  MutableTokenIds targets(int slot) const { return targets_[slot]; }
  Matrix<Wide> input(int slot) const;
  Matrix<Wide> kept_input(int slot) const;
  Matrix<Wide> output(int slot) const;
  Matrix<Wide> output_gradient() const;
  Matrix<Wide> input_gradient() const;
  Vector<Wide> kept(int slot) const;

  void forward(int slot, const Vector<S>& flat);
  double evaluate(int slot, const Vector<S>& flat);
  Matrix<Wide> logits(int slot, std::int64_t position, const Vector<S>& flat);
  void backward(int slot, const Vector<S>& flat, double loss_scale);
  void backward_input(int slot, const Vector<S>& flat, double loss_scale);
  void backward_weight(int slot);
  double take_loss();

  std::int64_t bytes() const { return bytes_of(activations_, config_, span_, options_); }
  static std::int64_t bytes_needed(const LlamaConfig& config, const StageSpan& span,
                                   const StageOptions& options);

 private:
  /// Bytes of activations, token ids, targets and losses.
  static std::int64_t bytes_of(const Activations<S>& activations, const LlamaConfig& config,
                               const StageSpan& span, const StageOptions& options);

  /// Fills the shared block state again from the residual stream at the layer's entry.
  void recompute(int slot, int layer, const Vector<S>& flat);

  /// The gradient at the stage's exit: from the head, or from the next stage.
  void begin_backward(int slot, const Vector<S>& flat, double loss_scale);
  /// The gradient at its entry is complete.
  void end_backward_input(int slot);

  /// The two halves of a layer's two halves. Weights' gradients follow input's of the same half.
  void feed_forward_input(int slot, int layer, const Vector<S>& flat);
  void feed_forward_weight(int slot, int layer, const Vector<S>& flat);
  void attention_input(int slot, int layer, const Vector<S>& flat);
  void attention_weight(int slot, int layer, const Vector<S>& flat);
  void token_table_weight(int slot);

  void between_layers(int layer) const {
    if (options_.between_layers) options_.between_layers(layer);
  }
  std::int64_t tokens() const { return std::int64_t{options_.sequences} * config_.context; }

  ExecutionSpace exec_;
  LlamaConfig config_;
  StageSpan span_;
  StageOptions options_;
  LlamaParameters parameters_;
  Vector<Wide> gradients_;
  Vector<S> memory_;  ///< behind `activations_`
  Activations<S> activations_;
  AttentionLayer<S> attention_;
  FeedForwardLayer<S> feed_forward_;
  HeadLayer<S> head_;
  std::vector<MutableTokenIds> ids_;
  std::vector<MutableTokenIds> targets_;
  std::vector<Vector<S>> weights_of_slot_;  ///< from backward_input to backward_weight
  Vector<double> loss_;                     ///< [1], of the micro-batch at hand
  Vector<double> loss_sum_;                 ///< [1]
};

extern template class StageLayers<float>;
extern template class StageLayers<double>;
extern template class StageLayers<bfloat16>;

}  // namespace strait::model
