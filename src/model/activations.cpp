#include "activations.hpp"

namespace strait::model {
namespace {

template <class T>
struct Builder {
  Carver<T>& memory;
  const LlamaConfig& config;
  const std::int64_t tokens;

  template <class U = T>
  Matrix<U> hidden() {
    return memory.template matrix<U>(tokens, config.hidden);
  }

  /// The forward's tensors of a block, but for the residual stream at its entry.
  void add_states(BlockActivations<T>& block) {
    block.attention.rstd = memory.template vector<Compute<T>>(tokens);
    block.attention.qkv = memory.matrix(tokens, config.qkv_width());
    block.attention.heads = hidden();
    block.attention.lse = memory.template matrix<Compute<T>>(tokens, config.heads);
    block.feed_forward.x = hidden();
    block.feed_forward.rstd = memory.template vector<Compute<T>>(tokens);
    block.feed_forward.gate_up = memory.matrix(tokens, 2 * config.ffn_hidden);
  }

  /// What the two halves of a backward hand over.
  void add_gradients(BlockActivations<T>& block) {
    block.attention.dqkv = memory.matrix(tokens, config.qkv_width());
    block.feed_forward.hidden = memory.matrix(tokens, config.ffn_hidden);
    block.d_middle = hidden();
  }
};

}  // namespace

template <class T>
Activations<T>::Activations(Carver<T> memory, const LlamaConfig& config, const StageSpan& span,
                            const StageOptions& options) {
  const std::int64_t tokens = std::int64_t{options.sequences} * config.context;
  const int layers = span.layers();
  Builder<T> builder{memory, config, tokens};

  rope_table = memory.template matrix<Compute<T>>(config.context, config.head_dim());
  normalised = builder.hidden();
  output_gradient = builder.hidden();
  input_gradient = builder.hidden();
  if constexpr (is_narrow<T>) {
    if (!span.has_head) passing_output_gradient = builder.template hidden<Compute<T>>();
    if (!span.embeds) passing_input_gradient = builder.template hidden<Compute<T>>();
  }
  if (span.has_head) head_rstd = memory.template vector<Compute<T>>(tokens);

  BlockActivations<T> shared;
  if (options.recompute) builder.add_states(shared);
  if (options.split_backward) {
    dhidden = memory.matrix(tokens, config.ffn_hidden);
  } else {
    // The feed-forward half is over when the attention half begins: their work spaces overlap.
    shared.d_middle = builder.hidden();
    const auto start = memory.mark();
    shared.feed_forward.hidden = memory.matrix(tokens, config.ffn_hidden);
    dhidden = memory.matrix(tokens, config.ffn_hidden);
    memory.back_to(start);
    shared.attention.dqkv = memory.matrix(tokens, config.qkv_width());
    memory.past_everything();
  }

  slots.resize(options.slots);
  for (auto& slot : slots) {
    const auto start = memory.mark();
    for (int i = 0; i <= layers; ++i) slot.x.push_back(builder.hidden());
    if (is_narrow<T> && !(span.embeds && span.has_head)) {
      slot.passing = builder.template hidden<Compute<T>>();
    }
    for (int i = 0; i <= layers; ++i) {
      const auto& fused = i == 0 ? input_gradient : output_gradient;
      // The gradient at the entry leaves the stage at once, unless the token table still waits for it.
      const bool keep = options.split_backward && (i > 0 || span.embeds);
      slot.dx.push_back(keep ? builder.hidden() : fused);
    }
    slot.blocks.assign(layers, shared);
    for (int i = 0; i < layers; ++i) {
      auto& block = slot.blocks[i];
      if (!options.recompute) builder.add_states(block);
      if (options.split_backward) builder.add_gradients(block);
      block.attention.x = slot.x[i];
    }
    slot.all = memory.since(start);
  }
  elements = memory.size();
}

template struct Activations<float>;
template struct Activations<double>;
template struct Activations<bfloat16>;

}  // namespace strait::model
