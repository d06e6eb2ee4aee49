#include "stage_implementation.hpp"

#include "strait/kernels/elementwise.hpp"
#include "strait/kernels/embedding.hpp"
#include "strait/kernels/rope.hpp"
#include "strait/model/initialisation.hpp"

#include <string>

namespace strait::model {
namespace {

/// sum += term, on the device.
void add_loss(const ExecutionSpace& exec, const Vector<double>& sum, const Vector<double>& term) {
  Kokkos::parallel_for(
      "strait::model::add_loss", RangePolicy(exec, 0, 1),
      KOKKOS_LAMBDA(const std::int64_t i) { sum(i) += term(i); });
}

/// Memory that is assigned before it is read.
template <class T>
Vector<T> allocate(const std::string& label, std::int64_t size) {
  return Vector<T>(Kokkos::view_alloc(Kokkos::WithoutInitializing, label), size);
}

}  // namespace

void check_stage(const LlamaConfig& config, const StageSpan& span, const StageOptions& options) {
  ensure(0 <= span.first_layer && span.first_layer < span.last_layer && span.last_layer <= config.layers,
         "a stage without layers, or with layers that the model lacks");
  ensure(options.sequences > 0 && options.slots > 0, "a stage without room for a micro-batch");
  if (options.recompute && options.split_backward) {
    fail(ExitCode::deck,
         "[training] recompute: is true, expected false with a schedule that splits the backward pass: what "
         "the second half needs is what recomputation would drop");
  }
}

template <class T>
std::int64_t activation_bytes(const Activations<T>& activations, const LlamaConfig& config,
                              const StageSpan& span, const StageOptions& options) {
  const std::int64_t tokens = std::int64_t{options.sequences} * config.context;
  const std::int64_t id_vectors = (span.has_head ? 2 : 1) * std::int64_t{options.slots};
  const std::int64_t loss_sums = 2;
  return activations.elements * static_cast<std::int64_t>(sizeof(T)) +
         id_vectors * tokens * static_cast<std::int64_t>(sizeof(std::int32_t)) +
         loss_sums * static_cast<std::int64_t>(sizeof(double));
}

template <class T>
Stage<T>::Implementation::Implementation(const ExecutionSpace& exec_, const LlamaConfig& config_,
                                         const StageSpan& span_, const StageOptions& options_)
    : exec(exec_),
      config(config_),
      span((check_stage(config_, span_, options_), span_)),
      options(options_),
      parameters(config, span, options.add_parameters),
      weights(allocate<T>("strait::model::weights", parameters.layout().size())),
      gradients("strait::model::gradients", parameters.layout().size()),
      memory(allocate<T>("strait::model::activations",
                         Activations<T>(Carver<T>(), config, span, options).elements)),
      activations(Carver<T>(memory), config, span, options),
      attention{{options.sequences, config.context, config.heads, config.kv_heads, config.head_dim()},
                config.norm_epsilon,
                activations.rope_table,
                activations.normalised},
      feed_forward{config.norm_epsilon, activations.normalised, activations.dhidden},
      head{config.norm_epsilon, activations.normalised, activations.head_rstd},
      weights_of_slot(options.slots),
      loss("strait::model::loss", 1),
      loss_sum("strait::model::loss_sum", 1) {
  for (int slot = 0; slot < options.slots; ++slot) {
    ids.emplace_back("strait::model::ids", tokens());
    if (span.has_head) targets.emplace_back("strait::model::targets", tokens());
  }
  kernels::rope_table<T>(exec, activations.rope_table, config.rope_theta);
  initialise<T>(exec, weights, parameters.layout(), config.layers, options.seed);
}

template <class T>
void Stage<T>::Implementation::forward(int slot, const Vector<T>& flat) {
  const Region region("strait::model::forward");
  const auto& a = activations.slots[slot];
  if (span.embeds) {
    kernels::embedding_forward<T>(exec, a.x[0], parameters.token_table(flat), ids[slot]);
    between_layers(-1);
  }
  Matrix<T> branch;  // what the residual stream has not gained yet
  for (int layer = 0; layer < span.layers(); ++layer) {
    const auto& block = a.blocks[layer];
    attention.forward(exec, block.feed_forward.x, block.attention, parameters.attention(flat, layer), branch);
    feed_forward.forward(exec, a.x[layer + 1], block.feed_forward, parameters.feed_forward(flat, layer),
                         block.attention.x);
    branch = block.feed_forward.x;
    between_layers(layer);
  }
  kernels::add<T>(exec, a.x.back(), branch);
}

template <class T>
void Stage<T>::Implementation::recompute(int slot, int layer, const Vector<T>& flat) {
  const auto& block = activations.slots[slot].blocks[layer];
  attention.forward(exec, block.feed_forward.x, block.attention, parameters.attention(flat, layer), {});
  feed_forward.expand(exec, block.feed_forward, parameters.feed_forward(flat, layer), block.attention.x);
}

template <class T>
void Stage<T>::Implementation::begin_backward(int slot, const Vector<T>& flat, double loss_scale) {
  const auto& a = activations.slots[slot];
  if (span.has_head) {
    head.backward(exec, loss, a.dx.back(), a.x.back(), targets[slot], parameters.head(flat),
                  parameters.head(gradients), loss_scale);
    add_loss(exec, loss_sum, loss);
    between_layers(span.layers());
  } else if (options.split_backward) {
    kernels::copy<T>(exec, a.dx.back(), activations.output_gradient);
  }
}

template <class T>
void Stage<T>::Implementation::feed_forward_input(int slot, int layer, const Vector<T>& flat) {
  const auto& a = activations.slots[slot];
  feed_forward.backward_input(exec, a.blocks[layer].d_middle, a.dx[layer + 1], a.blocks[layer].feed_forward,
                              parameters.feed_forward(flat, layer),
                              parameters.feed_forward(gradients, layer));
}

template <class T>
void Stage<T>::Implementation::feed_forward_weight(int slot, int layer, const Vector<T>& flat) {
  const auto& a = activations.slots[slot];
  feed_forward.backward_weight(exec, a.dx[layer + 1], a.blocks[layer].feed_forward,
                               parameters.feed_forward(flat, layer),
                               parameters.feed_forward(gradients, layer));
}

template <class T>
void Stage<T>::Implementation::attention_input(int slot, int layer, const Vector<T>& flat) {
  const auto& a = activations.slots[slot];
  attention.backward_input(exec, a.dx[layer], a.blocks[layer].d_middle, a.blocks[layer].attention,
                           parameters.attention(flat, layer), parameters.attention(gradients, layer));
}

template <class T>
void Stage<T>::Implementation::attention_weight(int slot, int layer, const Vector<T>& flat) {
  const auto& a = activations.slots[slot];
  attention.backward_weight(exec, a.blocks[layer].d_middle, a.blocks[layer].attention,
                            parameters.attention(flat, layer), parameters.attention(gradients, layer));
}

template <class T>
void Stage<T>::Implementation::token_table_weight(int slot) {
  if (!span.embeds) return;
  kernels::embedding_backward<T>(exec, parameters.token_table(gradients), activations.slots[slot].dx[0],
                                 ids[slot]);
}

#define STRAIT_INSTANTIATE(T)                                                                            \
  template struct Stage<T>::Implementation;                                                              \
  template std::int64_t activation_bytes<T>(const Activations<T>&, const LlamaConfig&, const StageSpan&, \
                                            const StageOptions&);
STRAIT_INSTANTIATE(float)
STRAIT_INSTANTIATE(double)
#undef STRAIT_INSTANTIATE

}  // namespace strait::model
