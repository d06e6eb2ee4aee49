// Replicated stages give the run of unreplicated ones, and hold the same bits.
#include "support/codec_decks.hpp"
#include "support/pipeline_statistics.hpp"
#include "support/pipelines.hpp"
#include "support/replicas.hpp"

#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace strait::test {
namespace {

using pipeline::Pipeline;

constexpr int steps = 5;

ExecutionSpace exec() { return {}; }

template <class T>
void expect_unreplicated(const PipelineCase& c, const codec::Codec<T>& codec, double tolerance) {
  PipelineCase plain = c;
  plain.replicas = {};
  Pipeline<T> found(exec(), setup_of(c), codec), wanted(exec(), setup_of(plain), codec);
  const Trajectory a = train(exec(), found, 11, steps), b = train(exec(), wanted, 11, steps);
  for (int step = 0; step < steps; ++step) {
    EXPECT_NEAR(a.losses[step], b.losses[step], tolerance * b.losses[step]) << "step " << step;
    EXPECT_NEAR(a.norms[step], b.norms[step], 100 * tolerance * b.norms[step]) << "step " << step;
  }
  EXPECT_NEAR(a.evaluation, b.evaluation, tolerance * b.evaluation);
  expect_same_bits(exec(), found);
}

class Replicas : public ::testing::TestWithParam<PipelineCase> {};

const PipelineCase shapes[] = {{.stages = 1, .replicas = {4}},
                               {.stages = 2, .replicas = {1, 3}},
                               {.stages = 3, .replicas = {3, 2, 1}},
                               {.stages = 2, .schedule = "gpipe", .replicas = {2, 1}},
                               {.stages = 3, .schedule = "zb-h1", .replicas = {2, 1, 3}},
                               {.stages = 2, .schedule = "interleaved", .chunks = 2, .replicas = {2, 2}}};

std::string label(const ::testing::TestParamInfo<PipelineCase>& info) {
  std::string name = fmt::format("{}_{}", info.param.schedule, fmt::join(info.param.replicas, "_"));
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}
INSTANTIATE_TEST_SUITE_P(Shapes, Replicas, ::testing::ValuesIn(shapes), label);

TEST_P(Replicas, GiveTheRunOfUnreplicatedStages) {
  PipelineCase c = GetParam();
  for (const char* text : every_codec) {
    const std::string name = text;
    if (name.find("rvq") != std::string::npos || name.find("grassmann") != std::string::npos) continue;
    SCOPED_TRACE(text);
    for (c.micro_batches = 6; c.micro_batches <= 7; ++c.micro_batches) {
      expect_unreplicated<double>(c, *codec_of<double>(name + "\nwire = 'float64'"), 1e-9);
    }
  }
  expect_unreplicated<float>(c, exact_codec<float>(), 1e-5);
}

TEST(ReplicasWithTiedTables, GiveTheRunOfUnreplicatedStages) {
  expect_unreplicated<double>({.stages = 1, .micro_batches = 6, .tied = true, .replicas = {3}},
                              exact_codec<double>(), 1e-10);
  expect_unreplicated<double>({.stages = 3, .micro_batches = 6, .tied = true, .replicas = {2, 3, 2}},
                              exact_codec<double>(), 1e-10);
}

TEST(ReplicasWithASubspace, GiveTheRunOfUnreplicatedStages) {
  expect_unreplicated<double>({.stages = 2, .micro_batches = 6, .replicas = {2, 3}},
                              *codec_of<double>("name = 'ssn'\nrank = 6\nwire = 'float64'"), 1e-9);
}

TEST(ReplicaRuns, SendExactlyWhatTheyAddUp) {
  const PipelineCase c{.stages = 2, .micro_batches = 6, .replicas = {3, 2}};
  Pipeline<double> pipeline(exec(), setup_of(c), exact_codec<double>());
  pipeline.step(step_info(0), tokens_of_step(exec(), 11, 0));
  const std::int64_t message = 2 * 6 * 16 * 8;
  pipeline::BoundaryBytes boundary;
  for (auto& executor : pipeline.executors()) {
    const auto sent = executor->take_statistics().sent;
    boundary += sent.boundaries[0];
    const int replicas = executor->transport().rank() < 3 ? 3 : 2;
    const std::int64_t all = executor->units()[0].stage().layout().size() * 8;
    // Parts are whole numbers of elements, so that single ranks differ by rounding.
    EXPECT_NEAR(sent.replicas, 2.0 * (replicas - 1) / replicas * all, 2 * 8 * 10 * replicas);
  }
  EXPECT_EQ(boundary, (pipeline::BoundaryBytes{.forward = 6 * message, .backward = 6 * message}));
}

TEST(ReplicaRuns, TheNextTokenIsChosenOnce) {
  const PipelineCase c{.stages = 2, .micro_batches = 4, .replicas = {2, 3}};
  Pipeline<double> replicated(exec(), setup_of(c), exact_codec<double>());
  Pipeline<double> whole(exec(), setup_of({.stages = 1}), exact_codec<double>());
  int calls = 0;
  const auto choose = [&](std::span<const double> logits) {
    ++calls;
    return static_cast<std::int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  };
  const auto tokens = tokens_of_step(exec(), 11, 3);
  EXPECT_EQ(replicated.next_token(tokens, 4, choose), whole.next_token(tokens, 4, choose));
  EXPECT_EQ(calls, 2);
}

}  // namespace
}  // namespace strait::test
