#pragma once
// The shape of a LLaMA decoder, the [model] table of a deck.

#include "strait/core/deck.hpp"

#include <cstdint>
#include <vector>

namespace strait::model {

struct LlamaConfig {
  int layers = 0;
  int hidden = 0;
  int heads = 0;
  int kv_heads = 0;
  int ffn_hidden = 0;
  int vocab = 0;
  int context = 0;  ///< tokens per sequence
  double rope_theta = 1e4;
  double norm_epsilon = 1e-5;
  bool tie_embeddings = false;

  int head_dim() const { return hidden / heads; }

  /// Columns of the fused query-key-value projection.
  int qkv_width() const { return (heads + 2 * kv_heads) * head_dim(); }

  /// Trained parameters of the whole model; tied embeddings count once.
  std::int64_t parameters() const;

  /// Floating-point operations of forward and backward per token: 6 per weight of a matrix product (head
  /// included, token table not), plus causal attention's 6 * layers * context * hidden (half of PaLM's
  /// 12 L H Q T: the upper triangle is not computed).
  double flops_per_token() const;

  /// Reads [model]; refuses impossible shapes with the place in the deck.
  static LlamaConfig from_deck(Table table);
};

/// Consecutive layers of one stage, and whether the token table and the head are its own too.
struct StageSpan {
  int first_layer = 0;
  int last_layer = 0;  ///< one past the last
  bool embeds = true;
  bool has_head = true;

  int layers() const { return last_layer - first_layer; }
};

/// Cuts the model into `stages` spans: `split` gives layers per stage, empty balances FLOPs including
/// the head. Every layer is placed exactly once, every stage has at least one layer.
std::vector<StageSpan> split_layers(const LlamaConfig& config, int stages, const std::vector<int>& split);

}  // namespace strait::model
