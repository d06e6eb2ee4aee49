// Any cut, schedule and number of micro-batches gives the run of one stage.
#include "support/pipelines.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace strait::test {
namespace {

constexpr int steps = 20;

const std::vector<int> uneven_splits[] = {{}, {5}, {4, 1}, {1, 3, 1}, {2, 1, 1, 1}};

void expect_same_run(const Trajectory& found, const Trajectory& wanted, double tolerance) {
  for (int step = 0; step < steps; ++step) {
    ASSERT_NEAR(found.losses[step], wanted.losses[step], tolerance * wanted.losses[step]) << "step " << step;
    ASSERT_NEAR(found.norms[step], wanted.norms[step], tolerance * wanted.norms[step]) << "step " << step;
  }
  ASSERT_NEAR(found.evaluation, wanted.evaluation, tolerance * wanted.evaluation);
}

template <class T>
void compare_all(double tolerance) {
  const ExecutionSpace exec;
  for (const bool tied : {false, true}) {
    for (int micro_batches = 1; micro_batches <= 6; ++micro_batches) {
      PipelineCase c{.stages = 1, .schedule = "gpipe", .micro_batches = micro_batches, .tied = tied};
      const Trajectory one_stage = train_in_process<T>(exec, c, steps);
      EXPECT_LT(one_stage.losses.back(), 0.95 * one_stage.losses.front()) << "the run learns nothing";
      for (c.stages = 1; c.stages <= 4; ++c.stages) {
        for (const char* schedule : {"gpipe", "1f1b"}) {
          for (const bool uneven : {false, true}) {
            c.schedule = schedule;
            c.split = uneven ? uneven_splits[c.stages] : std::vector<int>();
            SCOPED_TRACE(fmt::format("{} stages, {}, {} micro-batches, tied {}, uneven {}", c.stages,
                                     schedule, micro_batches, tied, uneven));
            expect_same_run(train_in_process<T>(exec, c, steps), one_stage, tolerance);
            if (testing::Test::HasFatalFailure()) return;
          }
        }
      }
    }
  }
}

TEST(Equality, DoublePrecision) { compare_all<double>(1e-10); }

TEST(Equality, SinglePrecision) { compare_all<float>(1e-5); }

TEST(Equality, WithMuon) {
  const ExecutionSpace exec;
  for (const bool tied : {false, true}) {
    PipelineCase c{.tied = tied, .optimizer = "muon"};
    const Trajectory one_stage = train_in_process<double>(exec, c, steps);
    EXPECT_LT(one_stage.losses.back(), 0.95 * one_stage.losses.front()) << "the run learns nothing";
    c.stages = 3;
    // Directions with small singular values amplify the rounding of the clipping factor.
    expect_same_run(train_in_process<double>(exec, c, steps), one_stage, 1e-8);
  }
}

TEST(Equality, BothSchedulesAreBitwiseEqual) {
  const ExecutionSpace exec;
  PipelineCase c{.stages = 3, .schedule = "gpipe", .micro_batches = 5, .tied = true};
  const Trajectory gpipe = train_in_process<float>(exec, c, steps);
  c.schedule = "1f1b";
  const Trajectory other = train_in_process<float>(exec, c, steps);
  EXPECT_EQ(gpipe.losses, other.losses);
  EXPECT_EQ(gpipe.norms, other.norms);
  EXPECT_EQ(gpipe.evaluation, other.evaluation);
}

TEST(Equality, CopiesOfTiedTablesStayBitwiseEqual) {
  const ExecutionSpace exec;
  const pipeline::PipelineSetup setup = setup_of({.stages = 3, .tied = true});
  pipeline::Pipeline<float> pipeline(exec, setup, exact_codec<float>());
  train(exec, pipeline, setup.model.vocab, 10);
  const auto copy = [&](int rank) {
    auto& stage = pipeline.executors()[rank]->units()[0].stage();
    const int index = pipeline::tied_parameter(stage.layout(), rank == 0);
    return to_host(exec, stage.layout().view(stage.weights(), index));
  };
  const auto first = copy(0);
  const auto last = copy(2);
  ASSERT_EQ(first.extent(0), static_cast<std::size_t>(setup.model.vocab));
  for (std::size_t i = 0; i < first.extent(0); ++i) {
    for (std::size_t j = 0; j < first.extent(1); ++j) ASSERT_EQ(first(i, j), last(i, j));
  }
}

TEST(Equality, RecomputationChangesNothing) {
  const ExecutionSpace exec;
  pipeline::PipelineSetup setup = setup_of({.stages = 2});
  pipeline::Pipeline<float> kept(exec, setup, exact_codec<float>());
  setup.recompute = true;
  pipeline::Pipeline<float> recomputed(exec, setup, exact_codec<float>());
  const Trajectory a = train(exec, kept, setup.model.vocab, 5);
  const Trajectory b = train(exec, recomputed, setup.model.vocab, 5);
  EXPECT_EQ(a.losses, b.losses);
  EXPECT_EQ(a.norms, b.norms);
}

}  // namespace
}  // namespace strait::test
