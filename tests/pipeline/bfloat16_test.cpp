// Pipelines of stages in bfloat16 in one process.
#include "bfloat16.hpp"

#include "strait/pipeline/planner.hpp"
#include "strait/pipeline/profiler.hpp"

#include "support/allocation_count.hpp"
#include "support/pipeline_statistics.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace strait::test {
namespace {

using pipeline::Pipeline;
using pipeline::PipelineSetup;

ExecutionSpace space() { return {}; }

Trajectory trained(const PipelineSetup& setup, const codec::Codec<float>& codec, int steps) {
  Pipeline<float> pipeline(space(), setup, codec);
  return train(space(), pipeline, setup.model.vocab, steps);
}

/// A boundary takes nothing from numbers that have 8 bits already: the run is that of one stage, with the
/// losses of the same bits. Norms are summed stage by stage.
TEST(Bfloat16Pipeline, EveryScheduleIsTheRunOfOneStageBitwise) {
  for (const bool stochastic : {false, true}) {
    PipelineCase c{.layers = 6, .clip = 0.0};
    const Trajectory wanted = trained(in_bfloat16(setup_of(c), stochastic), kept_numbers(), 5);
    EXPECT_LT(wanted.losses.back(), wanted.losses.front());
    for (const char* schedule : {"gpipe", "1f1b", "zb-h1", "interleaved"}) {
      SCOPED_TRACE(schedule);
      c.stages = 3;
      c.schedule = schedule;
      c.chunks = c.schedule == "interleaved" ? 2 : 1;
      const Trajectory found = trained(in_bfloat16(setup_of(c), stochastic), kept_numbers(), 5);
      EXPECT_EQ(found.losses, wanted.losses);
      EXPECT_EQ(found.evaluation, wanted.evaluation);
      for (int step = 0; step < 5; ++step) EXPECT_NEAR(found.norms[step], wanted.norms[step], 1e-12);
    }
  }
}

TEST(Bfloat16Pipeline, LearnsAsFloatDoesWithEveryCodecAndOptimiser) {
  const PipelineCase c{.stages = 2, .tied = false};
  for (const char* optimizer : {"adamw", "muon", "soap", "basis-rotation"}) {
    for (const char* text : every_codec) {
      SCOPED_TRACE(fmt::format("{}, {}", optimizer, text));
      const auto codec = codec_of<float>(text);
      PipelineSetup setup = setup_of(c);
      setup.optimizer.name = optimizer;
      const Trajectory wanted = trained(setup, *codec, 8), found = trained(in_bfloat16(setup), *codec, 8);
      for (int step = 0; step < 8; ++step) {
        EXPECT_NEAR(found.losses[step], wanted.losses[step], 0.02 * wanted.losses[step]) << step;
      }
    }
  }
}

/// Versions that micro-batches in flight use are those that layers read.
TEST(Bfloat16Pipeline, AsynchronousSchedulesAreTheOracleWithEveryCodec) {
  for (const char* text :
       {"name = 'none'\nwire = 'bfloat16'", "name = 'mapl'\nrank = 6\nprojector_interval = 2",
        "name = 'mapl'\nrank = 6\nprojector_interval = 2\nanchors = 'full'", "name = 'ssn'\nrank = 6",
        "name = 'int8'\ngroup_size = 6"}) {
    for (const AsynchronousCase& c : asynchronous_cases) {
      SCOPED_TRACE(fmt::format("{}, {}, {}", text, c.schedule, c.versions));
      const PipelineSetup setup = in_bfloat16(asynchronous_setup(c, 3, 8));
      const auto codec = codec_of<float>(text);
      Pipeline<float> pipeline(space(), setup, *codec);
      expect_oracle<float>(space(), pipeline, setup, *codec);
    }
  }
}

TEST(Bfloat16Pipeline, ReplicasOfAsynchronousStagesAreTheOracle) {
  for (const AsynchronousCase& c : asynchronous_cases) {
    if (std::string(c.versions) == "vertical-sync") continue;  // unequal stages have no version in common
    for (const bool stochastic : {false, true}) {
      SCOPED_TRACE(fmt::format("{}, {}, stochastic {}", c.schedule, c.versions, stochastic));
      const PipelineSetup setup = in_bfloat16(asynchronous_setup(c, 2, 6, {2, 1}), stochastic);
      Pipeline<float> pipeline(space(), setup, kept_numbers());
      expect_oracle<float>(space(), pipeline, setup, kept_numbers());
    }
  }
}

TEST(Bfloat16Pipeline, HoldsTheMemoryThatIsPlanned) {
  for (const char* text :
       {"name = 'none'", "name = 'mapl'\nrank = 6", "name = 'mapl'\nrank = 6\nanchors = 'full'",
        "name = 'ssn'\nrank = 6", "name = 'int4'\ngroup_size = 6", "name = 'topk'\nk = 3"}) {
    for (PipelineSetup setup :
         {setup_of({.stages = 3, .tied = true}), setup_of({.stages = 3, .schedule = "zb-h1"}),
          setup_of({.stages = 2, .schedule = "interleaved", .chunks = 2}),
          asynchronous_setup({"pipedream", "stash"}, 3, 8), asynchronous_setup({"2bw", "stash"}, 3, 8)}) {
      SCOPED_TRACE(fmt::format("{}, {}", text, setup.schedule));
      setup = in_bfloat16(setup);
      const auto codec = codec_of<float>(text);
      const pipeline::TrainingPlan plan(setup);
      std::int64_t planned = 0;
      for (int stage = 0; stage < setup.stages(); ++stage) {
        planned += pipeline::StageUnit<float>::bytes_needed(setup, plan, stage, *codec);
      }
      const AllocationCount count;
      const Pipeline<float> pipeline(space(), setup, *codec);
      EXPECT_EQ(count.live_bytes(), planned);
    }
  }
}

/// Past a codec activations travel as they are kept: in half the bytes, and every bit.
TEST(Bfloat16Pipeline, SendsActivationsPastACodecAsTheyAreKept) {
  const PipelineSetup setup = in_bfloat16(setup_of({.stages = 2}));
  Pipeline<float> coarse(space(), setup, *codec_of<float>("name = 'int4'\ngroup_size = 6"));
  Pipeline<float> wide(space(), setup, codec::NoneCodec<float>(codec::Wire::float32, true));
  const auto evaluated = [&](Pipeline<float>& pipeline, pipeline::Crossing crossing) {
    return pipeline.evaluate(3, tokens_of_step(space(), setup.model.vocab, 500), crossing);
  };
  const double through = evaluated(coarse, pipeline::Crossing::encoded);
  gather_statistics(coarse);
  const double past = evaluated(coarse, pipeline::Crossing::exact);
  EXPECT_EQ(past, evaluated(wide, pipeline::Crossing::encoded));
  EXPECT_NE(past, through);
  const std::int64_t numbers = std::int64_t{3} * setup.sequences * setup.model.context * setup.model.hidden;
  EXPECT_EQ(gather_statistics(coarse).boundaries[0].evaluation, 2 * numbers);
  EXPECT_EQ(gather_statistics(wide).boundaries[0].evaluation, 4 * numbers);
}

/// A plan's memory has of earlier versions what stages keep of them.
TEST(Bfloat16Pipeline, PlansPriceTheVersionsThatAreKept) {
  for (const AsynchronousCase& c : asynchronous_cases) {
    for (const PipelineSetup& setup :
         {asynchronous_setup(c, 3, 8), in_bfloat16(asynchronous_setup(c, 3, 8))}) {
      SCOPED_TRACE(fmt::format("{}, {}, bfloat16 {}", c.schedule, c.versions, setup.bfloat16));
      const pipeline::TrainingPlan training(setup);
      pipeline::Profile profile;
      pipeline::size_layers<float>(setup, profile);
      for (auto& layer : profile.layers) layer.forward.median = 1.0;
      pipeline::PlanTask task;
      task.layers = pipeline::plan_layers(profile);
      task.machine.levels = {{.components = 3, .bandwidth = 1e9}};
      task.schedule = setup.schedule;
      task.weight_versions = setup.weight_versions;
      task.bfloat16 = setup.bfloat16;
      task.micro_batches = setup.micro_batches;
      const pipeline::Plan plan = pipeline::cut_layers(task, {1, 1, 1});
      task.weight_versions = "none";
      if (task.schedule == "2bw") task.schedule = "1f1b";
      const pipeline::Plan without = pipeline::cut_layers(task, {1, 1, 1});
      for (int s = 0; s < 3; ++s) {
        const pipeline::PlanStage& stage = plan.stages[s];
        ASSERT_EQ(stage.last_layer, without.stages[s].last_layer);
        EXPECT_EQ(stage.versions, training.weight_copies(s));
        const auto layout =
            model::stage_layout(setup.model, {stage.first_layer, stage.last_layer, s == 0, s == 2});
        EXPECT_EQ(stage.memory_bytes - without.stages[s].memory_bytes,
                  pipeline::KeptWeights<float>::bytes_needed(layout, stage.versions, setup.bfloat16));
      }
    }
  }
}

/// Steps of a thousandth of a unit in the last place: to nearest the layers would never see them, and with
/// stochastic rounding they see all but noise of them. The masters see them either way.
TEST(Bfloat16Pipeline, StochasticRoundingShowsSmallSteps) {
  const ExecutionSpace& exec = space();
  PipelineSetup setup = setup_of({.stages = 1});
  for (const bool stochastic : {false, true}) {
    Pipeline<float> pipeline(space(), in_bfloat16(setup, stochastic), kept_numbers());
    auto& stage = pipeline.front().units()[0].stage();
    Kokkos::deep_copy(exec, stage.weights(), 1.0f);
    stage.round_weights(0);
    const float moved = 1.0f + 0x1p-12f;  // of units of 2^-7
    Kokkos::deep_copy(exec, stage.weights(), moved);
    stage.round_weights(1);
    const auto working = to_host(space(), stage.working_weights().rounded);
    double sum = 0.0;
    for (std::size_t i = 0; i < working.extent(0); ++i) sum += double(float(working(i))) - 1.0;
    const double mean = sum / static_cast<double>(working.extent(0));
    const double deviation = 0x1p-7 * std::sqrt(0x1p-5 / static_cast<double>(working.extent(0)));
    EXPECT_NEAR(mean, stochastic ? 0x1p-12 : 0.0, stochastic ? 5.0 * deviation : 0.0);
    EXPECT_EQ(to_host(space(), stage.weights())(0), moved);
  }
}

}  // namespace
}  // namespace strait::test
