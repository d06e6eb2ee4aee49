// The same numbers whatever the cut, the slots and the kind of backward.
#include "strait/model/stage.hpp"

#include "support/expect_error.hpp"
#include "support/llama.hpp"

#include <gtest/gtest.h>

#include <string>

namespace strait::model {
namespace {

using Scalar = double;

Stage<Scalar> whole_stage(const ExecutionSpace& exec, const LlamaConfig& config, StageOptions options) {
  options.sequences = 2;
  return Stage<Scalar>(exec, config, test::whole_model(config), options);
}

class StageComposition : public ::testing::TestWithParam<bool> {
 protected:
  const ExecutionSpace exec{};
  const LlamaConfig config = test::tiny_llama(3, GetParam());

  /// A stage after two micro-batches that were in flight together.
  Stage<Scalar> trained(StageOptions options) {
    options.slots = 2;
    auto stage = whole_stage(exec, config, options);
    test::train_two_micro_batches(exec, stage, test::lively_weights<Scalar>(exec, stage.layout()),
                                  options.split_backward);
    return stage;
  }
};
INSTANTIATE_TEST_SUITE_P(Embeddings, StageComposition, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "Tied" : "Untied"; });

TEST_P(StageComposition, SplitBackwardEqualsFused) {
  const auto fused = trained({});
  const auto split = trained({.split_backward = true});
  EXPECT_LE(test::relative_difference(exec, split.gradients(), fused.gradients()), 1e-15);
}

TEST_P(StageComposition, RecomputedActivationsEqualStored) {
  const auto stored = trained({});
  const auto recomputed = trained({.recompute = true});
  EXPECT_LE(test::relative_difference(exec, recomputed.gradients(), stored.gradients()), 1e-15);
  EXPECT_LT(recomputed.activation_bytes(), stored.activation_bytes());
}

TEST_P(StageComposition, SlotsAreIndependent) {
  const auto together = trained({});
  auto apart = whole_stage(exec, config, {});
  const auto weights = test::lively_weights<Scalar>(exec, apart.layout());
  for (int micro_batch = 0; micro_batch < 2; ++micro_batch) {
    test::fill_tokens(exec, apart, 0, 20 + micro_batch);
    apart.forward(0, weights);
    apart.backward(0, weights, 0.1);
  }
  EXPECT_LE(test::relative_difference(exec, together.gradients(), apart.gradients()), 1e-15);
}

/// Runs one micro-batch through stages as long as `split` says and compares with the whole model.
void expect_chain_equals_whole(const ExecutionSpace& exec, const LlamaConfig& config,
                               const std::vector<int>& split, bool split_backward) {
  auto whole = whole_stage(exec, config, {});
  const auto whole_weights = test::lively_weights<Scalar>(exec, whole.layout());
  test::fill_tokens(exec, whole, 0, 30);
  whole.forward(0, whole_weights);
  whole.backward(0, whole_weights, 0.1);

  std::vector<Stage<Scalar>> chain;
  std::vector<Vector<Scalar>> weights;
  for (const auto& span : split_layers(config, static_cast<int>(split.size()), split)) {
    chain.emplace_back(exec, config, span, StageOptions{.sequences = 2, .split_backward = split_backward});
    weights.push_back(test::lively_weights<Scalar>(exec, chain.back().layout()));
    test::fill_tokens(exec, chain.back(), 0, 30);
  }
  const int last = static_cast<int>(chain.size()) - 1;
  for (int s = 0; s <= last; ++s) {
    if (s > 0) Kokkos::deep_copy(exec, chain[s].input(0), chain[s - 1].output(0));
    chain[s].forward(0, weights[s]);
  }
  for (int s = last; s >= 0; --s) {
    if (s < last) Kokkos::deep_copy(exec, chain[s].output_gradient(), chain[s + 1].input_gradient());
    if (split_backward) {
      chain[s].backward_input(0, weights[s], 0.1);
    } else {
      chain[s].backward(0, weights[s], 0.1);
    }
  }
  if (split_backward) {
    for (auto& stage : chain) stage.backward_weight(0);
  }

  EXPECT_EQ(chain[last].take_loss(), whole.take_loss());
  std::int64_t own_parameters = 0;
  const auto whole_gradients = to_host(exec, whole.gradients());
  std::vector<Scalar> sum(whole.layout().size(), 0.0);
  for (const auto& stage : chain) {
    const auto gradients = to_host(exec, stage.gradients());
    for (const auto& info : stage.layout().entries()) {
      const int index = test::find(whole.layout(), info.name);
      ASSERT_GE(index, 0) << info.name;
      const auto offset = whole.layout().entries()[index].offset;
      for (std::int64_t i = 0; i < info.size(); ++i) sum[offset + i] += gradients(info.offset + i);
      if (!info.shared) own_parameters += info.size();
    }
  }
  EXPECT_EQ(own_parameters, config.parameters());
  for (std::int64_t i = 0; i < whole.layout().size(); ++i) {
    ASSERT_NEAR(sum[i], whole_gradients(i), 1e-14) << i;
  }
}

TEST_P(StageComposition, ChainEqualsOneStage) {
  expect_chain_equals_whole(exec, config, {1, 2}, false);
  expect_chain_equals_whole(exec, config, {1, 1, 1}, false);
}

TEST_P(StageComposition, ChainWithSplitBackwardEqualsOneStage) {
  expect_chain_equals_whole(exec, config, {2, 1}, true);
}

TEST(StageOptionsCheck, RecomputationAndSplitBackwardExcludeEachOther) {
  const ExecutionSpace exec;
  const auto config = test::tiny_llama(1, false);
  test::expect_error(ExitCode::deck, "recompute", [&] {
    Stage<float>(exec, config, test::whole_model(config), {.recompute = true, .split_backward = true});
  });
}

TEST(StageOptionsCheck, CallsBackBetweenLayers) {
  const ExecutionSpace exec;
  const auto config = test::tiny_llama(3, false);
  std::vector<int> layers;
  Stage<float> stage(exec, config, test::whole_model(config),
                     {.between_layers = [&](int layer) { layers.push_back(layer); }});
  test::fill_tokens(exec, stage, 0, 1);
  stage.forward(0, stage.weights());
  EXPECT_EQ(layers, (std::vector{-1, 0, 1, 2})) << "behind the table and each block";
  layers.clear();
  stage.backward(0, stage.weights(), 1.0);
  EXPECT_EQ(layers, (std::vector{3, 2, 1, 0})) << "behind the head and each block";
}

}  // namespace
}  // namespace strait::model
