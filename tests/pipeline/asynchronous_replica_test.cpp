// Asynchronous pipelines of stages with replicas in one process, against the rule of weight versions.
#include "support/allocation_count.hpp"
#include "support/asynchronous_pipelines.hpp"
#include "support/codec_decks.hpp"
#include "support/replica_shapes.hpp"

#include <fmt/ranges.h>
#include <gtest/gtest.h>

namespace strait::test {
namespace {

using pipeline::Pipeline;
using pipeline::PipelineSetup;

constexpr AsynchronousCase rules[] = {
    {"pipedream", "stash"}, {"pipedream", "none"}, {"2bw", "stash"}, {"2bw", "stash", 1}};
constexpr AsynchronousCase one_version = {"pipedream", "vertical-sync"};

ExecutionSpace space() { return {}; }

template <class T>
void expect_oracle(const PipelineSetup& setup, const codec::Codec<T>& codec, double tolerance) {
  SCOPED_TRACE(fmt::format("{}, {}, {}, {} steps", fmt::join(setup.replicas, "-"), setup.schedule,
                           setup.weight_versions, setup.steps));
  Pipeline<T> pipeline(space(), setup, codec);
  test::expect_oracle<T>(space(), pipeline, setup, codec, tolerance);
}

PipelineSetup setup_for(const AsynchronousCase& c, const std::vector<int>& replicas, int steps) {
  return asynchronous_setup(c, static_cast<int>(replicas.size()), steps, replicas);
}

/// What needs no sums of its own crosses the boundaries alike, whatever ends it passes: bit for bit.
TEST(AsynchronousReplicas, AreTheOracleForEveryShape) {
  for (int stages = 1; stages <= 3; ++stages) {
    for_each_shape(stages, 3, [&](const std::vector<int>& replicas) {
      for (const AsynchronousCase& c : rules) {
        expect_oracle<float>(setup_for(c, replicas, 5), exact_codec<float>(), 0.0);
      }
    });
  }
  for (const std::vector<int>& replicas : {std::vector<int>{2, 2}, {3, 3}, {2, 2, 2}, {4}}) {
    expect_oracle<float>(setup_for(one_version, replicas, 6), exact_codec<float>(), 0.0);
  }
  expect_oracle<float>(setup_for(rules[0], {1, 4, 1, 2}, 4), exact_codec<float>(), 0.0);
  expect_oracle<float>(setup_for(rules[1], {4, 3, 2, 1}, 2), exact_codec<float>(), 0.0);
}

TEST(AsynchronousReplicas, AreTheOracleForShortRuns) {
  for (const AsynchronousCase& c : rules) {
    for (const int steps : {1, 2, 3}) {
      expect_oracle<float>(setup_for(c, {3, 2, 1}, steps), exact_codec<float>(), 0.0);
      expect_oracle<float>(setup_for(c, {1, 2, 4}, steps), exact_codec<float>(), 0.0);
    }
  }
}

const std::vector<int> shapes[] = {{2, 1}, {1, 3}, {2, 2}, {3, 2, 1}, {2, 3, 1}};

TEST(AsynchronousReplicas, AreTheOracleWithEveryCodec) {
  for (const std::string& text : asynchronous_codecs) {
    SCOPED_TRACE(text);
    const auto codec = codec_of<double>(text + "\nwire = 'float64'");
    for (const AsynchronousCase& c : rules) {
      for (const std::vector<int>& replicas : shapes) {
        expect_oracle<double>(setup_for(c, replicas, 4), *codec, 1e-9);
      }
    }
    expect_oracle<double>(setup_for(one_version, {2, 2, 2}, 6), *codec, 1e-9);
  }
}

TEST(AsynchronousReplicas, HoldTheMemoryThatIsPlannedFromTheBeginning) {
  for (const std::string& text : asynchronous_codecs) {
    SCOPED_TRACE(text);
    const auto codec = codec_of<float>(text);
    for (const AsynchronousCase& c : rules) {
      for (const std::vector<int>& replicas : {std::vector<int>{3, 2, 1}, {4, 1, 2}}) {
        const PipelineSetup setup = setup_for(c, replicas, 4);
        const pipeline::TrainingPlan plan(setup);
        const AllocationCount count;
        Pipeline<float> pipeline(space(), setup, *codec);
        std::int64_t planned = 0;
        const std::int64_t live = count.live_bytes();
        for (auto& executor : pipeline.executors()) {
          planned +=
              pipeline::StageUnit<float>::bytes_needed(setup, plan, executor->units()[0].index(), *codec);
        }
        EXPECT_EQ(live, planned);
        for (int step = 0; step < 4; ++step) {
          pipeline.train(step_info(step), source_of_run(space(), setup, step));
        }
        for (auto& executor : pipeline.executors()) planned -= executor->memory_bytes();
        EXPECT_EQ(planned, 0);
      }
    }
  }
}

TEST(AsynchronousReplicas, FollowTheLearningRateUpdateByUpdate) {
  for (const AsynchronousCase& c : rules) {
    PipelineSetup setup = setup_for(c, {3, 2, 1}, 6);
    setup.optimizer.warmup_steps = 2;
    setup.optimizer.decay = "cosine";
    setup.optimizer.final_fraction = 0.1;
    expect_oracle<float>(setup, exact_codec<float>(), 0.0);
  }
}

TEST(AsynchronousReplicas, TellOptimisersHowLateTheirOwnUpdatesAre) {
  for (const std::string optimizer : {"adamw", "basis-rotation"}) {
    PipelineSetup setup = setup_for(rules[0], {3, 2, 1}, 5);
    setup.optimizer.name = optimizer;
    setup.optimizer.refresh = 2;
    setup.optimizer.lr_delay_correction = true;
    setup.optimizer.lr_delay_steps = 3;
    setup.optimizer.delay_compensation = 0.5;
    expect_oracle<float>(setup, exact_codec<float>(), 0.0);
    setup.weight_versions = "none";
    setup.optimizer.delay_compensation = 0.0;
    setup.recompute = true;
    expect_oracle<float>(setup, exact_codec<float>(), 0.0);
  }
}

TEST(AsynchronousReplicas, OneStageIsDataParallel) {
  PipelineSetup setup = setup_for(rules[0], {3}, 5);
  const auto losses = [&] {
    Pipeline<float> pipeline(space(), setup, exact_codec<float>());
    std::vector<double> all;
    for (int step = 0; step < 5; ++step) {
      all.push_back(pipeline.step(step_info(step), source_of_run(space(), setup, step)).loss);
    }
    return all;
  };
  const std::vector<double> found = losses();
  setup.schedule = "1f1b";
  EXPECT_EQ(found, losses());
}

}  // namespace
}  // namespace strait::test
