#include "stage_layers.hpp"

#include "strait/core/host_mirror.hpp"
#include "strait/kernels/elementwise.hpp"
#include "strait/kernels/embedding.hpp"
#include "strait/kernels/rope.hpp"

#include <string>
#include <utility>

namespace strait::model {
namespace {

/// sum += term, on the device.
void add_loss(const ExecutionSpace& exec, const Vector<double>& sum, const Vector<double>& term) {
  Kokkos::parallel_for(
      "strait::model::add_loss", RangePolicy(exec, 0, 1),
      KOKKOS_LAMBDA(const std::int64_t i) { sum(i) += term(i); });
}

}  // namespace

template <class S>
StageLayers<S>::StageLayers(const ExecutionSpace& exec, const LlamaConfig& config, const StageSpan& span,
                            const StageOptions& options, const LlamaParameters& parameters,
                            const Vector<Wide>& gradients)
    : exec_(exec),
      config_(config),
      span_(span),
      options_(options),
      parameters_(parameters),
      gradients_(gradients),
      memory_(Kokkos::view_alloc(Kokkos::WithoutInitializing, std::string("strait::model::activations")),
              Activations<S>(Carver<S>(), config, span, options).elements),
      activations_(Carver<S>(memory_), config, span, options),
      attention_{{options.sequences, config.context, config.heads, config.kv_heads, config.head_dim()},
                 config.norm_epsilon,
                 activations_.rope_table,
                 activations_.normalised},
      feed_forward_{config.norm_epsilon, activations_.normalised, activations_.dhidden},
      head_{config.norm_epsilon, activations_.normalised, activations_.head_rstd},
      weights_of_slot_(options.slots),
      loss_("strait::model::loss", 1),
      loss_sum_("strait::model::loss_sum", 1) {
  for (int slot = 0; slot < options.slots; ++slot) {
    ids_.emplace_back("strait::model::ids", tokens());
    if (span.has_head) targets_.emplace_back("strait::model::targets", tokens());
  }
  kernels::rope_table<Wide>(exec, activations_.rope_table, config.rope_theta);
}

template <class S>
Matrix<Compute<S>> StageLayers<S>::input(int slot) const {
  if constexpr (is_narrow<S>) {
    return activations_.slots[slot].passing;
  } else {
    return activations_.slots[slot].x.front();
  }
}

template <class S>
Matrix<Compute<S>> StageLayers<S>::kept_input(int slot) const {
  if constexpr (is_narrow<S>) {
    const Matrix<Wide> copy("strait::model::kept_input", tokens(), config_.hidden);
    kernels::copy<Wide, S>(exec_, copy, activations_.slots[slot].x.front());
    return copy;
  } else {
    return activations_.slots[slot].x.front();
  }
}

template <class S>
Matrix<Compute<S>> StageLayers<S>::output(int slot) const {
  if constexpr (is_narrow<S>) {
    return activations_.slots[slot].passing;
  } else {
    return activations_.slots[slot].x.back();
  }
}

template <class S>
Matrix<Compute<S>> StageLayers<S>::output_gradient() const {
  if constexpr (is_narrow<S>) {
    return activations_.passing_output_gradient;
  } else {
    return activations_.output_gradient;
  }
}

template <class S>
Matrix<Compute<S>> StageLayers<S>::input_gradient() const {
  if constexpr (is_narrow<S>) {
    return activations_.passing_input_gradient;
  } else {
    return activations_.input_gradient;
  }
}

/// As numbers of another type where S is narrow: nobody looks at them.
template <class S>
Vector<Compute<S>> StageLayers<S>::kept(int slot) const {
  const Vector<S>& all = activations_.slots[slot].all;
  return Vector<Wide>(reinterpret_cast<Wide*>(all.data()), all.extent(0) * sizeof(S) / sizeof(Wide));
}

template <class S>
void StageLayers<S>::forward(int slot, const Vector<S>& flat) {
  const Region region("strait::model::forward");
  const auto& a = activations_.slots[slot];
  if (span_.embeds) {
    kernels::embedding_forward<S>(exec_, a.x[0], parameters_.token_table(flat), ids_[slot]);
    between_layers(-1);
  } else if constexpr (is_narrow<S>) {
    kernels::copy<S, Wide>(exec_, a.x[0], a.passing);
  }
  Matrix<S> branch;  // what the residual stream has not gained yet
  for (int layer = 0; layer < span_.layers(); ++layer) {
    const auto& block = a.blocks[layer];
    attention_.forward(exec_, block.feed_forward.x, block.attention, parameters_.attention(flat, layer),
                       branch);
    feed_forward_.forward(exec_, a.x[layer + 1], block.feed_forward, parameters_.feed_forward(flat, layer),
                          block.attention.x);
    branch = block.feed_forward.x;
    between_layers(layer);
  }
  kernels::add<S>(exec_, a.x.back(), branch);
  if constexpr (is_narrow<S>) {
    if (!span_.has_head) kernels::copy<Wide, S>(exec_, a.passing, a.x.back());
  }
}

template <class S>
double StageLayers<S>::evaluate(int slot, const Vector<S>& flat) {
  const Region region("strait::model::evaluate");
  head_.forward(exec_, loss_, activations_.slots[slot].x.back(), targets_[slot], parameters_.head(flat));
  return to_host(exec_, loss_)(0);
}

template <class S>
Matrix<Compute<S>> StageLayers<S>::logits(int slot, std::int64_t position, const Vector<S>& flat) {
  const Matrix<Wide> result("strait::model::logits", 1, config_.vocab);
  const Matrix<S>& x = activations_.slots[slot].x.back();
  head_.logits(exec_, result, rows(x, position, position + 1), parameters_.head(flat));
  return result;
}

template <class S>
void StageLayers<S>::backward(int slot, const Vector<S>& flat, double loss_scale) {
  const Region region("strait::model::backward");
  begin_backward(slot, flat, loss_scale);
  for (int layer = span_.layers() - 1; layer >= 0; --layer) {
    if (options_.recompute) recompute(slot, layer, flat);
    // Halves share work space: each is finished before the next begins.
    feed_forward_input(slot, layer, flat);
    feed_forward_weight(slot, layer, flat);
    attention_input(slot, layer, flat);
    attention_weight(slot, layer, flat);
    between_layers(layer);
  }
  end_backward_input(slot);
  token_table_weight(slot);
}

template <class S>
void StageLayers<S>::backward_input(int slot, const Vector<S>& flat, double loss_scale) {
  const Region region("strait::model::backward_input");
  begin_backward(slot, flat, loss_scale);
  for (int layer = span_.layers() - 1; layer >= 0; --layer) {
    feed_forward_input(slot, layer, flat);
    attention_input(slot, layer, flat);
    between_layers(layer);
  }
  end_backward_input(slot);
  weights_of_slot_[slot] = flat;
}

template <class S>
void StageLayers<S>::backward_weight(int slot) {
  const Vector<S> flat = std::exchange(weights_of_slot_[slot], Vector<S>());
  ensure(flat.size() > 0, "backward_weight without a backward_input before it");
  const Region region("strait::model::backward_weight");
  for (int layer = span_.layers() - 1; layer >= 0; --layer) {
    feed_forward_weight(slot, layer, flat);
    attention_weight(slot, layer, flat);
    between_layers(layer);
  }
  token_table_weight(slot);
}

template <class S>
double StageLayers<S>::take_loss() {
  const double sum = to_host(exec_, loss_sum_)(0);
  Kokkos::deep_copy(exec_, loss_sum_, 0.0);
  return sum;
}

template <class S>
void StageLayers<S>::recompute(int slot, int layer, const Vector<S>& flat) {
  const auto& block = activations_.slots[slot].blocks[layer];
  attention_.forward(exec_, block.feed_forward.x, block.attention, parameters_.attention(flat, layer), {});
  feed_forward_.expand(exec_, block.feed_forward, parameters_.feed_forward(flat, layer), block.attention.x);
}

template <class S>
void StageLayers<S>::begin_backward(int slot, const Vector<S>& flat, double loss_scale) {
  const auto& a = activations_.slots[slot];
  if (span_.has_head) {
    head_.backward(exec_, loss_, a.dx.back(), a.x.back(), targets_[slot], parameters_.head(flat),
                   parameters_.head(gradients_), loss_scale);
    add_loss(exec_, loss_sum_, loss_);
    between_layers(span_.layers());
  } else if (is_narrow<S> || options_.split_backward) {
    kernels::copy<S, Wide>(exec_, a.dx.back(), output_gradient());
  }
}

template <class S>
void StageLayers<S>::end_backward_input(int slot) {
  if constexpr (is_narrow<S>) {
    if (!span_.embeds) kernels::copy<Wide, S>(exec_, input_gradient(), activations_.slots[slot].dx.front());
  }
}

template <class S>
void StageLayers<S>::feed_forward_input(int slot, int layer, const Vector<S>& flat) {
  const auto& a = activations_.slots[slot];
  feed_forward_.backward_input(exec_, a.blocks[layer].d_middle, a.dx[layer + 1], a.blocks[layer].feed_forward,
                               parameters_.feed_forward(flat, layer),
                               parameters_.feed_forward(gradients_, layer));
}

template <class S>
void StageLayers<S>::feed_forward_weight(int slot, int layer, const Vector<S>& flat) {
  const auto& a = activations_.slots[slot];
  feed_forward_.backward_weight(exec_, a.dx[layer + 1], a.blocks[layer].feed_forward,
                                parameters_.feed_forward(flat, layer),
                                parameters_.feed_forward(gradients_, layer));
}

template <class S>
void StageLayers<S>::attention_input(int slot, int layer, const Vector<S>& flat) {
  const auto& a = activations_.slots[slot];
  attention_.backward_input(exec_, a.dx[layer], a.blocks[layer].d_middle, a.blocks[layer].attention,
                            parameters_.attention(flat, layer), parameters_.attention(gradients_, layer));
}

template <class S>
void StageLayers<S>::attention_weight(int slot, int layer, const Vector<S>& flat) {
  const auto& a = activations_.slots[slot];
  attention_.backward_weight(exec_, a.blocks[layer].d_middle, a.blocks[layer].attention,
                             parameters_.attention(flat, layer), parameters_.attention(gradients_, layer));
}

template <class S>
void StageLayers<S>::token_table_weight(int slot) {
  if (!span_.embeds) return;
  kernels::embedding_backward<S>(exec_, parameters_.token_table(gradients_), activations_.slots[slot].dx[0],
                                 ids_[slot]);
}

template <class S>
std::int64_t StageLayers<S>::bytes_of(const Activations<S>& activations, const LlamaConfig& config,
                                      const StageSpan& span, const StageOptions& options) {
  const std::int64_t tokens = std::int64_t{options.sequences} * config.context;
  const std::int64_t id_vectors = (span.has_head ? 2 : 1) * std::int64_t{options.slots};
  const std::int64_t loss_sums = 2;
  return activations.elements * static_cast<std::int64_t>(sizeof(S)) +
         id_vectors * tokens * static_cast<std::int64_t>(sizeof(std::int32_t)) +
         loss_sums * static_cast<std::int64_t>(sizeof(double));
}

template <class S>
std::int64_t StageLayers<S>::bytes_needed(const LlamaConfig& config, const StageSpan& span,
                                          const StageOptions& options) {
  return bytes_of(Activations<S>(Carver<S>(), config, span, options), config, span, options);
}

template class StageLayers<float>;
template class StageLayers<double>;
template class StageLayers<bfloat16>;

}  // namespace strait::model
