// Initial weights and their layout.
#include "strait/model/stage.hpp"

#include "support/llama.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <string>
#include <vector>

namespace strait::model {
namespace {

using Tensors = std::map<std::string, std::vector<float>>;

/// Initial weights of all stages by name; copies must equal their originals.
Tensors initial_weights(const LlamaConfig& config, const std::vector<int>& split, std::uint64_t seed) {
  const ExecutionSpace exec;
  Tensors tensors;
  for (const auto& span : split_layers(config, static_cast<int>(split.size()), split)) {
    const Stage<float> stage(exec, config, span, {.seed = seed});
    const auto weights = to_host(exec, stage.weights());
    for (const auto& info : stage.layout().entries()) {
      const auto begin = weights.data() + info.offset;
      const std::vector<float> values(begin, begin + info.size());
      const auto [at, is_new] = tensors.emplace(info.name, values);
      EXPECT_NE(is_new, info.shared) << info.name;
      EXPECT_EQ(at->second, values) << info.name;
    }
  }
  return tensors;
}

TEST(InitialWeights, DoNotDependOnTheCut) {
  for (const bool tied : {false, true}) {
    const auto config = test::tiny_llama(4, tied);
    const auto whole = initial_weights(config, {4}, 1);
    EXPECT_EQ(initial_weights(config, {1, 2, 1}, 1), whole);
    EXPECT_NE(initial_weights(config, {4}, 2), whole);
  }
}

double root_mean_square(const std::vector<float>& values) {
  double sum = 0.0;
  for (const float v : values) sum += double(v) * v;
  return std::sqrt(sum / static_cast<double>(values.size()));
}

TEST(InitialWeights, HaveTheStatedSizes) {
  auto config = test::tiny_llama(8, false);
  config.hidden = 64;
  config.ffn_hidden = 128;
  config.vocab = 512;
  const auto tensors = initial_weights(config, {8}, 1);
  for (const auto& [name, values] : tensors) {
    const bool gain = name.find("norm") != std::string::npos;
    const bool scaled =
        name.find("o_proj") != std::string::npos || name.find("down_proj") != std::string::npos;
    const double expected = gain ? 1.0 : scaled ? 0.02 / 4.0 : 0.02;  // sqrt(2 * 8 layers) = 4
    EXPECT_NEAR(root_mean_square(values), expected, gain ? 0.0 : 0.06 * expected) << name;
  }
}

TEST(Layout, NamesAndOrderAreHuggingFaces) {
  const ExecutionSpace exec;
  const auto names = [&](const LlamaConfig& config, const StageSpan& span) {
    std::vector<std::string> result;
    const Stage<float> stage(exec, config, span, {});
    for (const auto& info : stage.layout().entries()) result.push_back(info.name);
    return result;
  };
  const auto untied = test::tiny_llama(1, false);
  EXPECT_THAT(
      names(untied, test::whole_model(untied)),
      testing::ElementsAre("model.embed_tokens.weight", "model.layers.0.input_layernorm.weight",
                           "model.layers.0.self_attn.q_proj.weight", "model.layers.0.self_attn.k_proj.weight",
                           "model.layers.0.self_attn.v_proj.weight", "model.layers.0.self_attn.o_proj.weight",
                           "model.layers.0.post_attention_layernorm.weight",
                           "model.layers.0.mlp.gate_proj.weight", "model.layers.0.mlp.up_proj.weight",
                           "model.layers.0.mlp.down_proj.weight", "model.norm.weight", "lm_head.weight"));
  const auto tied = test::tiny_llama(2, true);
  EXPECT_THAT(names(tied, test::whole_model(tied)), testing::Not(testing::Contains("lm_head.weight")));
  EXPECT_EQ(names(tied, {1, 2, false, true}).back(), "model.embed_tokens.weight");
}

TEST(Layout, AppendedParametersStartAtZero) {
  const ExecutionSpace exec;
  const auto config = test::tiny_llama(1, false);
  const StageSpan span{0, 1, true, false};
  const Stage<float> plain(exec, config, span, {});
  const Stage<float> stage(exec, config, span, {.add_parameters = [](ParameterLayout& layout) {
                             layout.add("anchor", ParameterRole::anchor, 3, 5);
                           }});
  EXPECT_EQ(stage.layout().size(), plain.layout().size() + 15);
  EXPECT_EQ(stage.layout().entries().back().name, "anchor");
  const auto weights = to_host(exec, stage.weights());
  for (std::int64_t i = plain.layout().size(); i < stage.layout().size(); ++i) EXPECT_EQ(weights(i), 0.0f);
}

}  // namespace
}  // namespace strait::model
