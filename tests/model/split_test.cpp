// How layers are cut into stages.
#include "strait/core/error.hpp"
#include "strait/model/config.hpp"

#include "support/expect_error.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace strait::model {
namespace {

LlamaConfig shape(int layers, int vocab) {
  LlamaConfig config;
  config.layers = layers;
  config.hidden = 64;
  config.heads = config.kv_heads = 4;
  config.ffn_hidden = 128;
  config.vocab = vocab;
  config.context = 32;
  return config;
}

std::vector<int> layers_of(const std::vector<StageSpan>& spans) {
  std::vector<int> result;
  for (const auto& span : spans) result.push_back(span.layers());
  return result;
}

/// Forward operations per token of the dearest stage, written out once more.
double dearest(const LlamaConfig& c, const std::vector<int>& split) {
  const double qkvo = 4.0 * c.hidden * c.hidden, mlp = 3.0 * c.hidden * c.ffn_hidden;
  const double layer = 2.0 * (qkvo + mlp) + 2.0 * c.context * c.hidden;
  double worst = 0.0;
  for (std::size_t s = 0; s < split.size(); ++s) {
    double cost = split[s] * layer;
    if (s == 0) cost += c.hidden;
    if (s + 1 == split.size()) cost += 2.0 * c.vocab * c.hidden;
    worst = std::max(worst, cost);
  }
  return worst;
}

/// The cheapest dearest stage over all splits.
double best(const LlamaConfig& config, int stages, std::vector<int> begun = {}) {
  int left = config.layers;
  for (const int layers : begun) left -= layers;
  const int open = stages - static_cast<int>(begun.size());
  if (open == 1) {
    begun.push_back(left);
    return dearest(config, begun);
  }
  double result = 1e300;
  for (int layers = 1; layers <= left - open + 1; ++layers) {
    auto longer = begun;
    longer.push_back(layers);
    result = std::min(result, best(config, stages, longer));
  }
  return result;
}

TEST(SplitLayers, AutomaticSplitIsTheBestOfAll) {
  for (const int vocab : {16, 300, 500, 1500, 4000}) {
    for (int layers = 1; layers <= 9; ++layers) {
      for (int stages = 1; stages <= std::min(layers, 4); ++stages) {
        const auto config = shape(layers, vocab);
        const auto split = layers_of(split_layers(config, stages, {}));
        EXPECT_DOUBLE_EQ(dearest(config, split), best(config, stages))
            << layers << " layers, " << stages << " stages, vocabulary " << vocab;
      }
    }
  }
}

TEST(SplitLayers, HeadTakesLayersFromTheLastStage) {
  EXPECT_THAT(layers_of(split_layers(shape(8, 16), 2, {})), testing::ElementsAre(4, 4));
  EXPECT_THAT(layers_of(split_layers(shape(8, 2200), 2, {})), testing::ElementsAre(6, 2));
}

TEST(SplitLayers, ExplicitSplitIsTaken) {
  const auto spans = split_layers(shape(6, 16), 3, {1, 3, 2});
  ASSERT_EQ(spans.size(), 3u);
  EXPECT_THAT(layers_of(spans), testing::ElementsAre(1, 3, 2));
  EXPECT_EQ(spans[1].first_layer, 1);
  EXPECT_EQ(spans[2].last_layer, 6);
  EXPECT_TRUE(spans[0].embeds && !spans[0].has_head);
  EXPECT_TRUE(!spans[1].embeds && !spans[1].has_head);
  EXPECT_TRUE(!spans[2].embeds && spans[2].has_head);
}

TEST(SplitLayers, RefusesWhatCannotBe) {
  const auto config = shape(4, 16);
  test::expect_error(ExitCode::deck, "stages: is 5, expected 1 to [model] layers = 4",
                     [&] { split_layers(config, 5, {}); });
  test::expect_error(ExitCode::deck, "stages: is 0", [&] { split_layers(config, 0, {}); });
  test::expect_error(ExitCode::deck, "has 3 entries, expected one for each of the 2 stages", [&] {
    split_layers(config, 2, {1, 2, 1});
  });
  test::expect_error(ExitCode::deck, "adds up to 5 layers", [&] { split_layers(config, 2, {3, 2}); });
  test::expect_error(ExitCode::deck, "a stage has 0 layers", [&] { split_layers(config, 2, {0, 4}); });
}

}  // namespace
}  // namespace strait::model
