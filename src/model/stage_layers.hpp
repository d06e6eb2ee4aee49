#pragma once
// What a stage owns, and the steps that its passes are made of.

#include "strait/model/stage.hpp"

#include "activations.hpp"
#include "head_layer.hpp"

#include <vector>

namespace strait::model {

template <class T>
struct Stage<T>::Implementation {
  Implementation(const ExecutionSpace& exec, const LlamaConfig& config, const StageSpan& span,
                 const StageOptions& options);

  void forward(int slot, const Vector<T>& flat);

  /// Fills the shared block state again from the residual stream at the layer's entry.
  void recompute(int slot, int layer, const Vector<T>& flat);

  /// The gradient at the stage's exit: from the head, or from the next stage.
  void begin_backward(int slot, const Vector<T>& flat, double loss_scale);

  /// The two halves of a layer's two halves. Weights' gradients follow input's of the same half.
  void feed_forward_input(int slot, int layer, const Vector<T>& flat);
  void feed_forward_weight(int slot, int layer, const Vector<T>& flat);
  void attention_input(int slot, int layer, const Vector<T>& flat);
  void attention_weight(int slot, int layer, const Vector<T>& flat);
  void token_table_weight(int slot);

  void between_layers(int layer) const {
    if (options.between_layers) options.between_layers(layer);
  }
  std::int64_t tokens() const { return std::int64_t{options.sequences} * config.context; }

  ExecutionSpace exec;
  LlamaConfig config;
  StageSpan span;
  StageOptions options;
  LlamaParameters parameters;
  Vector<T> weights;
  Vector<T> gradients;
  Vector<T> memory;  ///< behind `activations`
  Activations<T> activations;
  AttentionLayer<T> attention;
  FeedForwardLayer<T> feed_forward;
  HeadLayer<T> head;
  std::vector<MutableTokenIds> ids;
  std::vector<MutableTokenIds> targets;
  std::vector<Vector<T>> weights_of_slot;  ///< from backward_input to backward_weight
  Vector<double> loss;                     ///< [1], of the micro-batch at hand
  Vector<double> loss_sum;                 ///< [1]
};

/// Refuses shapes that no stage can have.
void check_stage(const LlamaConfig& config, const StageSpan& span, const StageOptions& options);

/// Bytes of weights and gradients.
template <class T>
std::int64_t parameter_bytes(const ParameterLayout& layout) {
  return 2 * layout.size() * static_cast<std::int64_t>(sizeof(T));
}

/// Bytes of activations, token ids, targets and losses.
template <class T>
std::int64_t activation_bytes(const Activations<T>& activations, const LlamaConfig& config,
                              const StageSpan& span, const StageOptions& options);

}  // namespace strait::model
