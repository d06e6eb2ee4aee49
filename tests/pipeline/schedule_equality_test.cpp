// Every schedule, however a rank's layers are cut into chunks, gives the run of one rank per run of layers
// bit for bit; without loss it gives that of one stage.
#include "support/codec_decks.hpp"
#include "support/pipelines.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace strait::test {
namespace {

using pipeline::Pipeline;

ExecutionSpace exec() { return {}; }

template <class T>
pipeline::StageUnit<T>& unit(Pipeline<T>& pipeline, int stage) {
  const int ranks = static_cast<int>(pipeline.executors().size());
  return pipeline.executors()[stage % ranks]->units()[stage / ranks];
}

template <class T>
void expect_bitwise(const PipelineCase& c, const codec::Codec<T>& codec) {
  constexpr int steps = 4;
  PipelineCase plain = c;
  plain.stages = c.stages * c.chunks;
  plain.chunks = 1;
  plain.schedule = "gpipe";
  Pipeline<T> found(exec(), setup_of(c), codec), wanted(exec(), setup_of(plain), codec);
  const Trajectory a = train(exec(), found, 11, steps);
  const Trajectory b = train(exec(), wanted, 11, steps);
  EXPECT_EQ(a.losses, b.losses);
  EXPECT_EQ(a.norms, b.norms);
  EXPECT_EQ(a.evaluation, b.evaluation);
  EXPECT_LT(b.losses.back(), b.losses.front()) << "the run learns nothing";
  for (int stage = 0; stage < plain.stages; ++stage) {
    auto &left = unit(found, stage).stage(), &right = unit(wanted, stage).stage();
    EXPECT_EQ(relative_difference(exec(), left.gradients(), right.gradients()), 0.0) << "stage " << stage;
    EXPECT_EQ(relative_difference(exec(), left.weights(), right.weights()), 0.0) << "stage " << stage;
  }
}

const PipelineCase schedules[] = {{.stages = 3, .schedule = "1f1b"},
                                  {.stages = 2, .schedule = "zb-h1"},
                                  {.stages = 4, .schedule = "zb-h1"},
                                  {.stages = 2, .schedule = "interleaved", .chunks = 2},
                                  {.stages = 2, .schedule = "interleaved", .chunks = 3},
                                  {.stages = 3, .schedule = "interleaved", .chunks = 2}};

class ScheduleEquality : public ::testing::TestWithParam<PipelineCase> {};

std::string label(const ::testing::TestParamInfo<PipelineCase>& info) {
  std::string name = info.param.schedule;
  std::replace(name.begin(), name.end(), '-', '_');
  return fmt::format("{}_{}x{}", name, info.param.stages, info.param.chunks);
}
INSTANTIATE_TEST_SUITE_P(Schedules, ScheduleEquality, ::testing::ValuesIn(schedules), label);

TEST_P(ScheduleEquality, EveryCodecIsBitwiseThatOfOneRankPerRunOfLayers) {
  PipelineCase c = GetParam();
  c.layers = 7;
  c.micro_batches = 5;
  for (const char* text : every_codec) {
    SCOPED_TRACE(text);
    expect_bitwise<float>(c, *codec_of<float>(text));
    expect_bitwise<double>(c, *codec_of<double>(text));
  }
}

TEST_P(ScheduleEquality, AnyNumberOfMicroBatches) {
  PipelineCase c = GetParam();
  c.layers = 7;
  for (c.micro_batches = 1; c.micro_batches <= 9; ++c.micro_batches) {
    c.tied = c.micro_batches % 2 == 0;
    SCOPED_TRACE(fmt::format("{} micro-batches", c.micro_batches));
    expect_bitwise<float>(c, exact_codec<float>());
  }
}

template <class T>
void expect_one_stage(PipelineCase c, double tolerance) {
  const Trajectory found = train_in_process<T>(exec(), c, 6);
  c.stages = c.chunks = 1;
  c.schedule = "gpipe";
  const Trajectory wanted = train_in_process<T>(exec(), c, 6);
  for (int step = 0; step < 6; ++step) {
    EXPECT_NEAR(found.losses[step], wanted.losses[step], tolerance * wanted.losses[step]) << "step " << step;
    EXPECT_NEAR(found.norms[step], wanted.norms[step], tolerance * wanted.norms[step]) << "step " << step;
  }
  EXPECT_NEAR(found.evaluation, wanted.evaluation, tolerance * wanted.evaluation);
}

TEST_P(ScheduleEquality, WithoutLossItIsTheRunOfOneStage) {
  PipelineCase c = GetParam();
  c.layers = 7;
  for (const bool tied : {false, true}) {
    c.tied = tied;
    expect_one_stage<double>(c, 1e-10);
    expect_one_stage<float>(c, 1e-5);
  }
}

TEST(ScheduleEquality, TheNextTokenIsThatOfOneStage) {
  const auto choose = [](std::span<const double> logits) {
    return static_cast<std::int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  };
  Pipeline<double> chunked(exec(), setup_of({.stages = 2, .schedule = "interleaved", .chunks = 2}),
                           exact_codec<double>());
  Pipeline<double> whole(exec(), setup_of({.stages = 1}), exact_codec<double>());
  for (int step = 0; step < 3; ++step) {
    const auto tokens = tokens_of_step(exec(), 11, step);
    EXPECT_EQ(chunked.next_token(tokens, 4, choose), whole.next_token(tokens, 4, choose));
  }
}

TEST(ScheduleEquality, RecomputationIsRefusedWhereBackwardsAreSplit) {
  pipeline::PipelineSetup setup = setup_of({.stages = 2, .schedule = "zb-h1"});
  setup.recompute = true;
  EXPECT_THROW(Pipeline<float>(exec(), setup, exact_codec<float>()), Error);
}

}  // namespace
}  // namespace strait::test
