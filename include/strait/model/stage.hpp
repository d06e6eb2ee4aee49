#pragma once
// A stage: a run of decoder layers with its own parameters, and with the token table or the head at the ends.

#include "strait/model/config.hpp"
#include "strait/model/parameters.hpp"
#include "strait/model/weights.hpp"

#include <functional>
#include <memory>

namespace strait::model {

struct StageOptions {
  int sequences = 1;       ///< per micro-batch
  int slots = 1;           ///< micro-batches in flight: each slot keeps the activations of one
  bool recompute = false;  ///< keep only each block's input and run the block's forward again in backward
  /// backward_input and backward_weight are called apart: keep what the second needs. Not with recompute,
  /// which would save nothing then (a deck error).
  bool split_backward = false;
  std::uint64_t seed = 1;

  /// Layers keep weights, activations and their gradients as bfloat16 and compute in float. Of Stage<float>.
  bool bfloat16 = false;
  /// How weights are rounded for that: stochastically, or to nearest.
  bool stochastic_rounding = false;

  /// Called by the constructor and by bytes_needed with the layout after the model's own parameters, before
  /// memory is allocated: a boundary adds its anchors here. They start at zero and get no gradient from the
  /// stage. May be empty.
  std::function<void(ParameterLayout&)> add_parameters = {};

  /// Called between the layers of forward and backward, behind each block, behind the table in forward and
  /// the head in backward, with the layer of the stage that is done, -1 for the table and the number of
  /// layers for the head: lets messages move during a long computation. In backward the gradients of blocks
  /// from that layer on are complete, in the last half of a split one too. May be empty.
  std::function<void(int layer)> between_layers = {};
};

/// Activations live in slots, so that any schedule can keep several micro-batches in flight. Weights are
/// passed to each call, because asynchronous schedules keep several versions of them.
///
/// With StageOptions::bfloat16 what is trained stays as it is: `weights` in T, the masters, whose rounded
/// copy the layers read, and `gradients` in T, summed in it. Inputs, outputs and their gradients pass in T
/// too, with values that bfloat16 has.
///
/// A micro-batch: fill `ids` (and `targets` where the head is), or `input`; forward; fill `output_gradient`
/// unless this stage has the head; backward; read `input_gradient`. Gradients add up in `gradients()`. The
/// passes of training may be overridden.
template <class T>
class Stage {
 public:
  Stage(const ExecutionSpace& exec, const LlamaConfig& config, const StageSpan& span,
        const StageOptions& options);
  virtual ~Stage();
  Stage(Stage&&) noexcept;

  const LlamaConfig& config() const;
  const StageSpan& span() const;
  const ParameterLayout& layout() const;
  std::int64_t tokens() const;  ///< per micro-batch

  /// The initial weights, N(0, 0.02) with output projections scaled by 1 / sqrt(2 layers) as in GPT-2, gains
  /// one: a function of (seed, parameter name) alone, whatever the cuts.
  const Vector<T>& weights() const;
  /// What the layers read of them: themselves, or the copy that round_weights made last.
  const Weights<T>& working_weights() const;
  /// Makes the copy, where there is one; after every change of the weights. Stochastic rounding is a function
  /// of the seed, parameters' names and `version`, the updates that the weights have seen.
  void round_weights(std::int64_t version);

  const Vector<T>& gradients() const;  ///< zeroed by the caller between updates

  MutableTokenIds ids(int slot) const;      ///< [tokens]
  MutableTokenIds targets(int slot) const;  ///< [tokens], on the stage with the head
  Matrix<T> input(int slot) const;   ///< [tokens, hidden], the residual stream at the entry; until forward
  Matrix<T> output(int slot) const;  ///< [tokens, hidden], the residual stream after the last layer
  Matrix<T> kept_input(int slot) const;  ///< what forward had from input: itself, or a copy
  Vector<T> kept(int slot) const;     ///< all that a backward needs of the micro-batch's forward, but its ids
  Matrix<T> output_gradient() const;  ///< [tokens, hidden], consumed by backward
  Matrix<T> input_gradient() const;   ///< [tokens, hidden], valid until the next backward

  virtual void forward(int slot, const Weights<T>& weights);

  /// Final norm, head and loss of a slot after its forward: the sum over tokens of the cross-entropy in nats.
  /// Waits for the result.
  double evaluate(int slot, const Weights<T>& weights);

  /// Next-token logits [1, vocab] after token `position` of a slot's first sequence.
  Matrix<T> logits(int slot, std::int64_t position, const Weights<T>& weights);

  /// Backward of a slot, weights' and input's gradients in one go. The stage with the head computes the loss
  /// here (its logits exist only inside this call) and scales every gradient by `loss_scale`.
  virtual void backward(int slot, const Weights<T>& weights, double loss_scale);

  /// The two halves, for schedules that move the weights' half (zero-bubble). The weight gradients of the
  /// head and of the norms belong to the first half. `weights` must keep its values until the second half.
  virtual void backward_input(int slot, const Weights<T>& weights, double loss_scale);
  virtual void backward_weight(int slot);

  /// Sum over tokens of the losses of all backwards since the last call, added in their order. Waits.
  double take_loss();

  std::int64_t activation_bytes() const;  ///< of all slots and work space
  std::int64_t parameter_bytes() const;   ///< weights, their copy if any, and gradients

  /// activation_bytes() + parameter_bytes() of a stage that would be built from these, without building it.
  static std::int64_t bytes_needed(const LlamaConfig& config, const StageSpan& span,
                                   const StageOptions& options);

 private:
  struct Implementation;
  std::unique_ptr<Implementation> implementation_;
};

/// The layout that a stage of this span would have, without building it.
ParameterLayout stage_layout(const LlamaConfig& config, const StageSpan& span,
                             const std::function<void(ParameterLayout&)>& add_parameters = {});

extern template class Stage<float>;
extern template class Stage<double>;

}  // namespace strait::model
