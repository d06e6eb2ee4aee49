#include "strait/model/stage.hpp"

#include "strait/core/host_mirror.hpp"

#include "stage_implementation.hpp"

#include <utility>

namespace strait::model {

template <class T>
Stage<T>::Stage(const ExecutionSpace& exec, const LlamaConfig& config, const StageSpan& span,
                const StageOptions& options)
    : implementation_(std::make_unique<Implementation>(exec, config, span, options)) {}

template <class T>
Stage<T>::~Stage() = default;

template <class T>
Stage<T>::Stage(Stage&&) noexcept = default;

template <class T>
const LlamaConfig& Stage<T>::config() const {
  return implementation_->config;
}

template <class T>
const StageSpan& Stage<T>::span() const {
  return implementation_->span;
}

template <class T>
const ParameterLayout& Stage<T>::layout() const {
  return implementation_->parameters.layout();
}

template <class T>
std::int64_t Stage<T>::tokens() const {
  return implementation_->tokens();
}

template <class T>
const Vector<T>& Stage<T>::weights() const {
  return implementation_->weights;
}

template <class T>
const Vector<T>& Stage<T>::gradients() const {
  return implementation_->gradients;
}

template <class T>
MutableTokenIds Stage<T>::ids(int slot) const {
  return implementation_->ids[slot];
}

template <class T>
MutableTokenIds Stage<T>::targets(int slot) const {
  ensure(implementation_->span.has_head, "targets of a stage without the head");
  return implementation_->targets[slot];
}

template <class T>
Matrix<T> Stage<T>::input(int slot) const {
  return implementation_->activations.slots[slot].x.front();
}

template <class T>
Matrix<T> Stage<T>::output(int slot) const {
  return implementation_->activations.slots[slot].x.back();
}

template <class T>
Vector<T> Stage<T>::kept(int slot) const {
  return implementation_->activations.slots[slot].all;
}

template <class T>
Matrix<T> Stage<T>::output_gradient() const {
  return implementation_->activations.output_gradient;
}

template <class T>
Matrix<T> Stage<T>::input_gradient() const {
  return implementation_->activations.input_gradient;
}

template <class T>
void Stage<T>::forward(int slot, const Vector<T>& weights) {
  implementation_->forward(slot, weights);
}

template <class T>
double Stage<T>::evaluate(int slot, const Vector<T>& weights) {
  auto& s = *implementation_;
  ensure(s.span.has_head, "evaluation on a stage without the head");
  const Region region("strait::model::evaluate");
  s.head.forward(s.exec, s.loss, s.activations.slots[slot].x.back(), s.targets[slot],
                 s.parameters.head(weights));
  return to_host(s.exec, s.loss)(0);
}

template <class T>
Matrix<T> Stage<T>::logits(int slot, std::int64_t position, const Vector<T>& weights) {
  auto& s = *implementation_;
  ensure(s.span.has_head, "logits of a stage without the head");
  ensure(0 <= position && position < s.config.context, "logits of a position outside the context");
  Matrix<T> result("strait::model::logits", 1, s.config.vocab);
  s.head.logits(s.exec, result, rows(output(slot), position, position + 1), s.parameters.head(weights));
  return result;
}

template <class T>
void Stage<T>::backward(int slot, const Vector<T>& weights, double loss_scale) {
  auto& s = *implementation_;
  ensure(!s.options.split_backward, "a fused backward on a stage built for a split one");
  const Region region("strait::model::backward");
  s.begin_backward(slot, weights, loss_scale);
  for (int layer = s.span.layers() - 1; layer >= 0; --layer) {
    if (s.options.recompute) s.recompute(slot, layer, weights);
    // Halves share work space: each is finished before the next begins.
    s.feed_forward_input(slot, layer, weights);
    s.feed_forward_weight(slot, layer, weights);
    s.attention_input(slot, layer, weights);
    s.attention_weight(slot, layer, weights);
    s.between_layers(layer);
  }
  s.token_table_weight(slot);
}

template <class T>
void Stage<T>::backward_input(int slot, const Vector<T>& weights, double loss_scale) {
  auto& s = *implementation_;
  ensure(s.options.split_backward, "a split backward on a stage built for a fused one");
  const Region region("strait::model::backward_input");
  s.begin_backward(slot, weights, loss_scale);
  for (int layer = s.span.layers() - 1; layer >= 0; --layer) {
    s.feed_forward_input(slot, layer, weights);
    s.attention_input(slot, layer, weights);
    s.between_layers(layer);
  }
  s.weights_of_slot[slot] = weights;
}

template <class T>
void Stage<T>::backward_weight(int slot) {
  auto& s = *implementation_;
  const Vector<T> weights = std::exchange(s.weights_of_slot[slot], Vector<T>());
  ensure(weights.size() > 0, "backward_weight without a backward_input before it");
  const Region region("strait::model::backward_weight");
  for (int layer = s.span.layers() - 1; layer >= 0; --layer) {
    s.feed_forward_weight(slot, layer, weights);
    s.attention_weight(slot, layer, weights);
    s.between_layers(layer);
  }
  s.token_table_weight(slot);
}

template <class T>
double Stage<T>::take_loss() {
  auto& s = *implementation_;
  const double sum = to_host(s.exec, s.loss_sum)(0);
  Kokkos::deep_copy(s.exec, s.loss_sum, 0.0);
  return sum;
}

template <class T>
std::int64_t Stage<T>::activation_bytes() const {
  const auto& s = *implementation_;
  return model::activation_bytes(s.activations, s.config, s.span, s.options);
}

template <class T>
std::int64_t Stage<T>::parameter_bytes() const {
  return model::parameter_bytes<T>(layout());
}

template <class T>
std::int64_t Stage<T>::bytes_needed(const LlamaConfig& config, const StageSpan& span,
                                    const StageOptions& options) {
  check_stage(config, span, options);
  const LlamaParameters parameters(config, span, options.add_parameters);
  const Activations<T> counted(Carver<T>(), config, span, options);
  return model::parameter_bytes<T>(parameters.layout()) +
         model::activation_bytes(counted, config, span, options);
}

ParameterLayout stage_layout(const LlamaConfig& config, const StageSpan& span,
                             const std::function<void(ParameterLayout&)>& add_parameters) {
  return LlamaParameters(config, span, add_parameters).layout();
}

template class Stage<float>;
template class Stage<double>;

}  // namespace strait::model
