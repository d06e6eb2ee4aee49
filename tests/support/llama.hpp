#pragma once
// Small models with weights of order one, and tokens for them.

#include "strait/model/stage.hpp"

#include "support/tensors.hpp"

#include <string>

namespace strait::test {

/// Two query heads to a key-value head.
inline model::LlamaConfig tiny_llama(int layers, bool tied) {
  model::LlamaConfig config;
  config.layers = layers;
  config.hidden = 16;
  config.heads = 4;
  config.kv_heads = 2;
  config.ffn_hidden = 12;
  config.vocab = 11;
  config.context = 6;
  config.rope_theta = 100.0;
  config.tie_embeddings = tied;
  return config;
}

inline model::StageSpan whole_model(const model::LlamaConfig& config) {
  return {0, config.layers, true, true};
}

/// Sets `view` [n] to integers in [0, bound).
inline void fill_ids(const ExecutionSpace& exec, const MutableTokenIds& view, int bound, std::uint64_t seed) {
  auto host = to_host(exec, view);
  const Philox random(seed, 2);
  for (std::size_t i = 0; i < host.extent(0); ++i) {
    host(i) = static_cast<std::int32_t>(random.uniform(i) * bound);
  }
  to_device(exec, view, host);
}

/// Tokens and, where the head is, targets of a slot, as `seed` says.
template <class T>
void fill_tokens(const ExecutionSpace& exec, const model::Stage<T>& stage, int slot, std::uint64_t seed) {
  fill_ids(exec, stage.ids(slot), stage.config().vocab, seed);
  if (stage.span().has_head) fill_ids(exec, stage.targets(slot), stage.config().vocab, seed + 1000);
}

/// Weights large enough that no gradient vanishes, a function of name and index alone.
template <class T>
Vector<T> lively_weights(const ExecutionSpace& exec, const model::ParameterLayout& layout) {
  const Vector<T> flat("strait::test::weights", layout.size());
  auto host = to_host(exec, flat);
  for (const auto& info : layout.entries()) {
    const Philox random(5, std::hash<std::string>{}(info.name));
    for (std::int64_t i = 0; i < info.size(); ++i) {
      const double value = 2.0 * random.uniform(i) - 1.0;
      host(info.offset + i) = static_cast<T>(info.one_dimensional() ? 1.0 + 0.3 * value : 0.5 * value);
    }
  }
  to_device(exec, flat, host);
  return flat;
}

/// Two micro-batches that are in flight together, forward and backward, by halves where the stage splits it.
template <class T, class WeightsOfStage>
void train_two_micro_batches(const ExecutionSpace& exec, model::Stage<T>& stage,
                             const WeightsOfStage& weights, bool split_backward) {
  for (int slot = 0; slot < 2; ++slot) {
    fill_tokens(exec, stage, slot, 20 + slot);
    stage.forward(slot, weights);
  }
  for (int slot = 0; slot < 2; ++slot) {
    if (split_backward) {
      stage.backward_input(slot, weights, 0.1);
    } else {
      stage.backward(slot, weights, 0.1);
    }
  }
  if (split_backward) {
    for (int slot = 0; slot < 2; ++slot) stage.backward_weight(slot);
  }
}

/// Index of the parameter `name`, or -1.
inline int find(const model::ParameterLayout& layout, const std::string& name) {
  for (std::size_t i = 0; i < layout.entries().size(); ++i) {
    if (layout.entries()[i].name == name) return static_cast<int>(i);
  }
  return -1;
}

}  // namespace strait::test
