// The [model] table.
#include "strait/model/config.hpp"

#include "support/expect_error.hpp"

#include <gtest/gtest.h>

#include <string>

namespace strait::model {
namespace {

const std::string shape =
    "[model]\nlayers = 12\nhidden = 768\nheads = 12\nffn_hidden = 2048\nvocab = 32000\ncontext = 1024\n";

LlamaConfig read(const std::vector<std::string>& overrides = {}) {
  const auto deck = Deck::from_string(shape, "deck.toml", overrides);
  const auto config = LlamaConfig::from_deck(deck.table("model"));
  deck.finish();
  return config;
}

TEST(LlamaConfig, ReadsADeck) {
  const auto config = read({"model.kv_heads=4", "model.rope_theta=5e5", "model.tie_embeddings=true"});
  EXPECT_EQ(config.layers, 12);
  EXPECT_EQ(config.head_dim(), 64);
  EXPECT_EQ(config.kv_heads, 4);
  EXPECT_EQ(config.qkv_width(), 768 + 2 * 4 * 64);
  EXPECT_EQ(config.rope_theta, 5e5);
  EXPECT_EQ(config.norm_epsilon, 1e-5);
  EXPECT_TRUE(config.tie_embeddings);
  EXPECT_EQ(read().kv_heads, 12);
}

TEST(LlamaConfig, CountsParametersAndOperations) {
  // One layer: 4 * 768^2 + 3 * 768 * 2048 weights and two gains.
  const std::int64_t matrices = 12 * (4 * 768 * 768 + 3 * 768 * 2048), table = 32000 * 768;
  const std::int64_t gains = (2 * 12 + 1) * 768;
  EXPECT_EQ(read().parameters(), matrices + 2 * table + gains);
  EXPECT_EQ(read({"model.tie_embeddings=true"}).parameters(), matrices + table + gains);
  EXPECT_DOUBLE_EQ(read().flops_per_token(), 6.0 * (matrices + table) + 6.0 * 12 * 1024 * 768);
}

TEST(LlamaConfig, RefusesImpossibleShapes) {
  const auto refused = [](const std::string& override, const std::string& part) {
    test::expect_error(ExitCode::deck, part, [&] { read({override}); });
  };
  refused("model.heads=10", "heads: is 10, expected a divisor of hidden = 768");
  refused("model.heads=256", "which gives heads of 3 channels");
  refused("model.kv_heads=5", "kv_heads: is 5, expected a divisor of heads = 12");
  refused("model.layers=0", "layers: is 0");
  refused("model.vocab=1", "vocab: is 1");
  refused("model.norm_epsilon=0", "norm_epsilon: is 0");
  refused("model.rope_theta=-1.0", "rope_theta: is -1");
}

}  // namespace
}  // namespace strait::model
