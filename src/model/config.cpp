#include "strait/model/config.hpp"

#include "strait/model/costs.hpp"

namespace strait::model {

std::int64_t layer_matrix_weights(const LlamaConfig& config) {
  const std::int64_t hidden = config.hidden;
  return (config.qkv_width() + hidden + 3 * std::int64_t{config.ffn_hidden}) * hidden;
}

std::int64_t LlamaConfig::parameters() const {
  const std::int64_t width = hidden;
  const std::int64_t per_layer = layer_matrix_weights(*this) + 2 * width;
  const std::int64_t tables = (tie_embeddings ? 1 : 2) * std::int64_t{vocab} * width;
  return layers * per_layer + tables + width;
}

double LlamaConfig::flops_per_token() const {
  return 3.0 * (layers * layer_forward_flops(*this) + head_forward_flops(*this));
}

double layer_forward_flops(const LlamaConfig& config) {
  return 2.0 * static_cast<double>(layer_matrix_weights(config)) + 2.0 * config.context * config.hidden;
}

double head_forward_flops(const LlamaConfig& config) { return 2.0 * config.vocab * config.hidden; }

LlamaConfig LlamaConfig::from_deck(Table table) {
  LlamaConfig config;
  const auto positive = [&](const char* key, const char* help) {
    return table.at_least(key, table.required<int>(key, help), 1);
  };
  config.layers = positive("layers", "transformer blocks");
  config.hidden = positive("hidden", "width of the residual stream");
  config.heads = positive("heads", "query heads, a divisor of hidden");
  if (config.hidden % config.heads != 0) {
    table.reject("heads",
                 fmt::format("is {}, expected a divisor of hidden = {}", config.heads, config.hidden));
  }
  if (config.head_dim() % 2 != 0) {
    table.reject("heads", fmt::format("is {}, which gives heads of {} channels, expected an even number "
                                      "(rotary embedding turns pairs)",
                                      config.heads, config.head_dim()));
  }
  config.kv_heads = table.at_least(
      "kv_heads", table.optional<int>("kv_heads", config.heads, "key-value heads, a divisor of heads"), 1);
  if (config.heads % config.kv_heads != 0) {
    table.reject("kv_heads",
                 fmt::format("is {}, expected a divisor of heads = {}", config.kv_heads, config.heads));
  }
  config.ffn_hidden = positive("ffn_hidden", "width of the feed-forward layer");
  config.vocab = table.at_least("vocab", table.required<int>("vocab", "tokens in the vocabulary"), 2);
  config.context = positive("context", "tokens per sequence");
  config.rope_theta = table.above(
      "rope_theta", table.optional<double>("rope_theta", 1e4, "base of the rotary embedding's periods"), 0.0);
  config.norm_epsilon =
      table.above("norm_epsilon",
                  table.optional<double>("norm_epsilon", 1e-5, "added to the mean square in the norms"), 0.0);
  config.tie_embeddings =
      table.optional<bool>("tie_embeddings", false, "the token table is the output head too");
  return config;
}

}  // namespace strait::model
