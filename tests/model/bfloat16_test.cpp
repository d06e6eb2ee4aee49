// Stages that keep weights and activations as bfloat16.
#include "support/bfloat16.hpp"

#include "strait/kernels/rounding.hpp"
#include "strait/model/stage.hpp"

#include "support/allocation_count.hpp"
#include "support/llama.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace strait::model {
namespace {

StageOptions in_bfloat16(StageOptions options = {}) {
  options.bfloat16 = true;
  return options;
}

/// Gives a stage lively weights.
void enliven(const ExecutionSpace& exec, Stage<float>& stage) {
  Kokkos::deep_copy(exec, stage.weights(), test::lively_weights<float>(exec, stage.layout()));
  stage.round_weights(0);
}

class Bfloat16Stage : public ::testing::TestWithParam<bool> {
 protected:
  const ExecutionSpace exec{};
  const LlamaConfig config = test::tiny_llama(3, GetParam());

  /// A stage after two micro-batches that were in flight together.
  Stage<float> trained(StageOptions options) {
    options.slots = 2;
    options.sequences = 2;
    Stage<float> stage(exec, config, test::whole_model(config), options);
    enliven(exec, stage);
    test::train_two_micro_batches(exec, stage, stage.working_weights(), options.split_backward);
    return stage;
  }
};
INSTANTIATE_TEST_SUITE_P(Embeddings, Bfloat16Stage, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "Tied" : "Untied"; });

/// Of each parameter, |g - g'| / |g'| with g' in float from the same rounded weights. Numbers of 8 bits on a
/// path of some thirty roundings, whose errors add up as squares.
TEST_P(Bfloat16Stage, GradientsAreThoseOfFloatToRounding) {
  auto rounded = trained(in_bfloat16());
  Stage<float> wide(exec, config, test::whole_model(config), {.sequences = 2});
  kernels::copy<float, bfloat16>(
      exec, as_matrix(wide.weights(), 0, 1, wide.layout().size()),
      Matrix<bfloat16>(rounded.working_weights().rounded.data(), 1, rounded.layout().size()));
  double loss = 0.0;
  for (int micro_batch = 0; micro_batch < 2; ++micro_batch) {
    test::fill_tokens(exec, wide, 0, 20 + micro_batch);
    wide.forward(0, wide.weights());
    wide.backward(0, wide.weights(), 0.1);
  }
  loss = wide.take_loss();
  EXPECT_NEAR(rounded.take_loss(), loss, 0.01 * loss);
  const auto found = to_host(exec, rounded.gradients()), wanted = to_host(exec, wide.gradients());
  for (const auto& info : wide.layout().entries()) {
    double difference = 0.0, size = 0.0;
    for (std::int64_t i = info.offset; i < info.offset + info.size(); ++i) {
      difference += std::pow(double(found(i)) - double(wanted(i)), 2);
      size += std::pow(double(wanted(i)), 2);
    }
    EXPECT_LT(std::sqrt(difference / size), 0.05) << info.name;
    EXPECT_GT(difference, 0.0) << info.name;
  }
}

TEST_P(Bfloat16Stage, SplitBackwardAndRecomputationChangeNothing) {
  const auto fused = trained(in_bfloat16());
  const auto split = trained(in_bfloat16({.split_backward = true}));
  const auto recomputed = trained(in_bfloat16({.recompute = true}));
  // A tied table is added to by its two users in another order.
  const double order = config.tie_embeddings ? 1e-6 : 0.0;
  EXPECT_LE(test::relative_difference(exec, split.gradients(), fused.gradients()), order);
  EXPECT_EQ(test::relative_difference(exec, recomputed.gradients(), fused.gradients()), 0.0);
}

/// What passes from stage to stage in float are the numbers that a stage of all layers keeps.
TEST_P(Bfloat16Stage, ChainEqualsOneStageBitwise) {
  Stage<float> whole(exec, config, test::whole_model(config), in_bfloat16({.sequences = 2}));
  enliven(exec, whole);
  test::fill_tokens(exec, whole, 0, 30);
  whole.forward(0, whole.working_weights());
  whole.backward(0, whole.working_weights(), 0.1);

  for (const bool split_backward : {false, true}) {
    std::vector<Stage<float>> chain;
    for (const auto& span : split_layers(config, 3, {1, 1, 1})) {
      chain.emplace_back(exec, config, span, in_bfloat16({.sequences = 2, .split_backward = split_backward}));
      enliven(exec, chain.back());
      test::fill_tokens(exec, chain.back(), 0, 30);
    }
    for (int s = 0; s < 3; ++s) {
      if (s > 0) Kokkos::deep_copy(exec, chain[s].input(0), chain[s - 1].output(0));
      chain[s].forward(0, chain[s].working_weights());
      if (s > 0) {
        EXPECT_EQ(test::relative_difference(exec, chain[s].kept_input(0), chain[s - 1].output(0)), 0.0);
      }
    }
    for (int s = 2; s >= 0; --s) {
      if (s < 2) Kokkos::deep_copy(exec, chain[s].output_gradient(), chain[s + 1].input_gradient());
      if (split_backward) {
        chain[s].backward_input(0, chain[s].working_weights(), 0.1);
        chain[s].backward_weight(0);
      } else {
        chain[s].backward(0, chain[s].working_weights(), 0.1);
      }
    }
    EXPECT_EQ(chain[2].take_loss(), whole.evaluate(0, whole.working_weights()));
    for (const auto& stage : chain) {
      for (std::size_t i = 0; i < stage.layout().entries().size(); ++i) {
        const auto& info = stage.layout().entries()[i];
        if (config.tie_embeddings && info.role == ParameterRole::embedding) continue;  // parts of a sum
        const int index = test::find(whole.layout(), info.name);
        EXPECT_EQ(test::relative_difference(exec, stage.layout().view(stage.gradients(), static_cast<int>(i)),
                                            whole.layout().view(whole.gradients(), index)),
                  0.0)
            << info.name;
      }
    }
  }
}

TEST_P(Bfloat16Stage, MastersKeepEveryBitAndWorkingWeightsAreTheirRounding) {
  Stage<float> plain(exec, config, test::whole_model(config), {.seed = 3});
  Stage<float> stage(exec, config, test::whole_model(config), in_bfloat16({.seed = 3}));
  EXPECT_EQ(test::relative_difference(exec, stage.weights(), plain.weights()), 0.0);
  const auto masters = to_host(exec, stage.weights());
  const auto working = to_host(exec, stage.working_weights().rounded);
  ASSERT_EQ(working.extent(0), masters.extent(0));
  for (std::size_t i = 0; i < masters.extent(0); ++i) EXPECT_EQ(working(i).bits, to_bfloat16(masters(i)));
}

/// A function of seed, name and version, whatever the cuts.
TEST_P(Bfloat16Stage, StochasticRoundingIsTheSameOnAllCuts) {
  const StageOptions options = in_bfloat16({.seed = 3, .stochastic_rounding = true});
  const auto working = [&](const Stage<float>& stage) {
    const auto host = to_host(exec, stage.working_weights().rounded);
    std::vector<std::uint16_t> bits;
    for (std::size_t i = 0; i < host.extent(0); ++i) bits.push_back(host(i).bits);
    return bits;
  };
  Stage<float> whole(exec, config, test::whole_model(config), options);
  const auto first = working(whole);
  whole.round_weights(7);
  const auto wanted = working(whole);
  EXPECT_NE(wanted, first);
  for (const auto& span : split_layers(config, 3, {1, 1, 1})) {
    Stage<float> part(exec, config, span, options);
    part.round_weights(7);
    const auto found = working(part);
    for (const auto& info : part.layout().entries()) {
      const auto from = whole.layout().entries()[test::find(whole.layout(), info.name)].offset;
      for (std::int64_t i = 0; i < info.size(); ++i) {
        ASSERT_EQ(found[info.offset + i], wanted[from + i]) << info.name << " " << i;
      }
    }
  }
}

/// Anchors are a codec's and stay in float.
TEST(Bfloat16StageMemory, NeededIsAllocatedAndActivationsTakeHalf) {
  const ExecutionSpace exec;
  auto config = test::tiny_llama(3, true);
  config.hidden = 64;
  config.ffn_hidden = 128;
  config.context = 32;
  const auto anchors = [](ParameterLayout& layout) { layout.add("anchor", ParameterRole::anchor, 4, 4); };
  for (const StageSpan span : {StageSpan{0, 3, true, true}, StageSpan{0, 1, true, false},
                               StageSpan{1, 2, false, false}, StageSpan{1, 3, false, true}}) {
    for (const bool recompute : {false, true}) {
      const StageOptions plain{.sequences = 2, .slots = 2, .recompute = recompute, .add_parameters = anchors};
      const StageOptions options = in_bfloat16(plain);
      const auto needed = Stage<float>::bytes_needed(config, span, options);
      const test::AllocationCount count;
      const Stage<float> stage(exec, config, span, options);
      EXPECT_EQ(count.live_bytes(), needed);
      EXPECT_EQ(stage.activation_bytes() + stage.parameter_bytes(), needed);
      EXPECT_EQ(stage.parameter_bytes(), 8 * stage.layout().size() + 2 * stage.layout().model_size());
      EXPECT_EQ(stage.layout().model_size() + 16, stage.layout().size());
      if (span.embeds && span.has_head) {
        const Stage<float> wide(exec, config, span, plain);
        EXPECT_LT(static_cast<double>(stage.activation_bytes()),
                  0.6 * static_cast<double>(wide.activation_bytes()));
      }
    }
  }
}

}  // namespace
}  // namespace strait::model
