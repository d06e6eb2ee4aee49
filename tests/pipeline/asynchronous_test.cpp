// Asynchronous pipelines in one process against the rule of weight versions.
#include "support/allocation_count.hpp"
#include "support/asynchronous_pipelines.hpp"
#include "support/codec_decks.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace strait::test {
namespace {

using pipeline::Pipeline;
using pipeline::PipelineSetup;
using pipeline::StepResult;

ExecutionSpace space() { return {}; }

TEST(Asynchronous, IsTheOracleForEveryRuleAndDepth) {
  for (const AsynchronousCase& c : asynchronous_cases) {
    for (const int stages : {1, 2, 3, 4, 8}) {
      SCOPED_TRACE(fmt::format("{}, {}, {} stages", c.schedule, c.versions, stages));
      const PipelineSetup setup = asynchronous_setup(c, stages, stages + 4);
      Pipeline<float> pipeline(space(), setup, exact_codec<float>());
      expect_oracle<float>(space(), pipeline, setup, exact_codec<float>());
    }
  }
}

TEST(Asynchronous, IsTheOracleForShortRuns) {
  for (const AsynchronousCase& c : asynchronous_cases) {
    for (const int updates : {1, 2, 3}) {
      SCOPED_TRACE(fmt::format("{}, {}, {} updates", c.schedule, c.versions, updates));
      const PipelineSetup setup = asynchronous_setup(c, 4, updates);
      Pipeline<float> pipeline(space(), setup, exact_codec<float>());
      expect_oracle<float>(space(), pipeline, setup, exact_codec<float>());
    }
  }
}

/// Codewords too, which replicas do not take.
std::vector<std::string> all_codecs() {
  std::vector<std::string> codecs = asynchronous_codecs;
  codecs.push_back(
      "name = 'mapl'\nrank = 6\nprojector_interval = 2\nrvq.groups = 2\nrvq.rounds = 2\nrvq.codewords = 12\n"
      "rvq.backward = 'rvq'\nrvq.commitment = 0.5\nrvq.checksum_interval = 2\nrvq.dropout = 0.3");
  return codecs;
}

TEST(Asynchronous, IsTheOracleWithEveryCodec) {
  for (const std::string& text : all_codecs()) {
    for (const AsynchronousCase& c : asynchronous_cases) {
      SCOPED_TRACE(fmt::format("{}, {}, {}", text, c.schedule, c.versions));
      const PipelineSetup setup = asynchronous_setup(c, 4, 9);
      const auto codec = codec_of<float>(text);
      Pipeline<float> pipeline(space(), setup, *codec);
      expect_oracle<float>(space(), pipeline, setup, *codec);
    }
  }
}

TEST(Asynchronous, HoldsTheMemoryThatIsPlannedFromTheBeginning) {
  for (const std::string& text : all_codecs()) {
    for (const AsynchronousCase& c : asynchronous_cases) {
      SCOPED_TRACE(fmt::format("{}, {}, {}", text, c.schedule, c.versions));
      const PipelineSetup setup = asynchronous_setup(c, 3, 8);
      const auto codec = codec_of<float>(text);
      const pipeline::TrainingPlan plan(setup);
      std::vector<std::int64_t> planned;
      for (int stage = 0; stage < 3; ++stage) {
        planned.push_back(pipeline::StageUnit<float>::bytes_needed(setup, plan, stage, *codec));
      }
      const AllocationCount count;
      Pipeline<float> pipeline(space(), setup, *codec);
      EXPECT_EQ(count.live_bytes(), planned[0] + planned[1] + planned[2]);
      for (int step = 0; step < 8; ++step) {
        pipeline.train(step_info(step), source_of_run(space(), setup, step));
      }
      for (int stage = 0; stage < 3; ++stage) {
        EXPECT_EQ(pipeline.executors()[stage]->memory_bytes(), planned[stage]) << "stage " << stage;
      }
    }
  }
}

TEST(Asynchronous, RecomputationUsesTheWeightsOfTheBackward) {
  PipelineSetup setup = asynchronous_setup({"pipedream", "none"}, 3, 8);
  setup.recompute = true;
  Pipeline<float> pipeline(space(), setup, exact_codec<float>());
  expect_oracle<float>(space(), pipeline, setup, exact_codec<float>());
}

TEST(Asynchronous, TellsOptimisersHowLateGradientsAre) {
  for (const AsynchronousCase& c : asynchronous_cases) {
    const bool kept = std::string(c.versions) != "none";
    for (const std::string optimizer : {"adamw", "basis-rotation"}) {
      SCOPED_TRACE(fmt::format("{}, {}, {}", c.schedule, c.versions, optimizer));
      PipelineSetup setup = asynchronous_setup(c, 4, 9);
      setup.optimizer.name = optimizer;
      setup.optimizer.refresh = 2;
      setup.optimizer.lr_delay_correction = true;
      setup.optimizer.lr_delay_steps = 20;
      setup.optimizer.delay_compensation = kept ? 0.5 : 0.0;
      const pipeline::TrainingPlan plan(setup);
      Pipeline<float> pipeline(space(), setup, exact_codec<float>());
      expect_oracle<float>(space(), pipeline, setup, exact_codec<float>());
      for (int stage = 0; stage < 4; ++stage) {
        EXPECT_EQ(pipeline.executors()[stage]->memory_bytes(),
                  pipeline::StageUnit<float>::bytes_needed(setup, plan, stage, exact_codec<float>()));
      }
    }
  }
}

std::vector<StepResult> run(const PipelineSetup& setup) {
  Pipeline<float> pipeline(space(), setup, exact_codec<float>());
  std::vector<StepResult> results;
  for (int step = 0; step < setup.steps; ++step) {
    results.push_back(pipeline.step(step_info(step), source_of_run(space(), setup, step)));
  }
  return results;
}

TEST(Asynchronous, OneStageIsSynchronous) {
  for (const AsynchronousCase& c : asynchronous_cases) {
    PipelineSetup setup = asynchronous_setup(c, 1, 6);
    const auto found = run(setup);
    setup.schedule = "1f1b";
    const auto wanted = run(setup);
    for (int step = 0; step < 6; ++step) {
      EXPECT_EQ(found[step].loss, wanted[step].loss);
      EXPECT_EQ(found[step].gradient_norm, wanted[step].gradient_norm);
    }
  }
}

TEST(Asynchronous, RulesDiffer) {
  std::vector<double> last;
  for (const AsynchronousCase& c : asynchronous_cases) {
    if (c.more == 0) last.push_back(run(asynchronous_setup(c, 3, 8)).back().loss);
  }
  EXPECT_NE(last[0], last[1]);
  EXPECT_NE(last[0], last[2]);
  EXPECT_NE(last[1], last[2]);
}

TEST(Asynchronous, ResultsComeAsManyStepsLaterAsThereAreRanks) {
  const PipelineSetup setup = asynchronous_setup({"pipedream", "stash"}, 3, 8);
  Pipeline<float> pipeline(space(), setup, exact_codec<float>());
  std::vector<std::size_t> counts;
  for (int step = 0; step < 8; ++step) {
    counts.push_back(pipeline.train(step_info(step), source_of_run(space(), setup, step)).size());
  }
  EXPECT_EQ(counts, (std::vector<std::size_t>{0, 0, 0, 1, 1, 1, 1, 1}));
  EXPECT_EQ(pipeline.settle().size(), 3U);
  EXPECT_EQ(pipeline.settle().size(), 0U);
}

TEST(Asynchronous, AnEvaluationUsesTheNewestWeightsOfEveryStage) {
  // Two runs that differ only behind the evaluation, one of which ends there.
  const PipelineSetup setup = asynchronous_setup({"pipedream", "stash"}, 3, 8);
  Pipeline<float> pipeline(space(), setup, exact_codec<float>());
  for (int step = 0; step < 5; ++step) {
    pipeline.train(step_info(step), source_of_run(space(), setup, step));
  }
  const double found = pipeline.evaluate(2, tokens_of_step(space(), 11, 500));

  PipelineSetup other = setup;
  other.schedule = "1f1b";
  Pipeline<float> synchronous(space(), other, exact_codec<float>());
  const ExecutionSpace exec = space();
  for (int rank = 0; rank < 3; ++rank) {
    Kokkos::deep_copy(exec, synchronous.executors()[rank]->units()[0].stage().weights(),
                      pipeline.executors()[rank]->units()[0].stage().weights());
  }
  EXPECT_EQ(found, synchronous.evaluate(2, tokens_of_step(space(), 11, 500)));
}

TEST(Asynchronous, AStageWhoseGradientIsNotFiniteKeepsItsWeights) {
  const PipelineSetup setup = asynchronous_setup({"pipedream", "stash"}, 3, 9);
  Pipeline<float> pipeline(space(), setup, exact_codec<float>());
  for (int step = 0; step < 3; ++step) {
    pipeline.step(step_info(step), source_of_run(space(), setup, step));
  }
  const Vector<float>& weights = pipeline.executors()[1]->units()[0].stage().weights();
  auto host = to_host(space(), weights);
  host(0) = std::numeric_limits<float>::quiet_NaN();
  to_device(space(), weights, host);
  const Vector<float>& first = pipeline.executors()[0]->units()[0].stage().weights();
  std::vector<StepResult> results;
  for (int step = 3; step < 6; ++step) {
    results.push_back(pipeline.step(step_info(step), source_of_run(space(), setup, step)));
  }
  EXPECT_FALSE(results.back().finite);
  EXPECT_TRUE(std::isnan(results.back().loss));
  const auto after = to_host(space(), first);
  for (std::size_t i = 0; i < after.extent(0); ++i) ASSERT_TRUE(std::isfinite(after(i)));
}

}  // namespace
}  // namespace strait::test
