// What a step, an evaluation and a choice of token do, against a stage that is driven by hand.
#include "strait/kernels/elementwise.hpp"

#include "support/pipeline_statistics.hpp"
#include "support/pipelines.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>

namespace strait::test {
namespace {

using pipeline::ActionKind;
using pipeline::BatchRequest;
using pipeline::BoundaryBytes;
using pipeline::Pipeline;
using pipeline::PipelineSetup;
using pipeline::StepResult;

ExecutionSpace space() { return {}; }

Pipeline<double> make(const PipelineSetup& setup) { return {space(), setup, exact_codec<double>()}; }

pipeline::BatchSource tokens(std::int64_t step) { return tokens_of_step(space(), 11, step); }

std::int64_t tokens_per_micro_batch(const PipelineSetup& setup) {
  return std::int64_t{setup.sequences} * setup.model.context;
}

/// The whole model in one stage, with the tokens of one micro-batch.
model::Stage<double> whole_stage(const PipelineSetup& setup, std::int64_t step, int micro_batch) {
  model::Stage<double> stage(space(), setup.model, whole_model(setup.model),
                             {.sequences = setup.sequences, .seed = setup.seed});
  tokens(step)({micro_batch, stage.ids(0), stage.targets(0)});
  return stage;
}

TEST(Executor, LossAndNormAreThoseOfTheModel) {
  const PipelineSetup setup = setup_of({.stages = 3, .micro_batches = 2});
  const StepResult result = make(setup).step(step_info(0), tokens(0));

  model::Stage<double> stage = whole_stage(setup, 0, 0);
  const double scale = 1.0 / (2.0 * tokens_per_micro_batch(setup));
  for (int b = 0; b < 2; ++b) {
    tokens(0)({b, stage.ids(0), stage.targets(0)});
    stage.forward(0, stage.weights());
    stage.backward(0, stage.weights(), scale);
  }
  EXPECT_NEAR(result.loss, stage.take_loss() * scale, 1e-13);
  const double norm = std::sqrt(kernels::sum_of_squares<double>(space(), stage.gradients()));
  EXPECT_NEAR(result.gradient_norm, norm, 1e-12 * norm);
  EXPECT_TRUE(result.finite);
  ASSERT_EQ(result.rank_gradient_norms.size(), 3U);
  const auto square = [](double sum, double x) { return sum + x * x; };
  EXPECT_NEAR(
      std::accumulate(result.rank_gradient_norms.begin(), result.rank_gradient_norms.end(), 0.0, square),
      norm * norm, 1e-12 * norm * norm);
}

TEST(Executor, ClippingScalesTheUpdateByTheNormOfAllStages) {
  // AdamW does not see a factor common to all steps, up to epsilon: the clip shows where only one step has
  // it.
  PipelineSetup loose = setup_of({.stages = 2, .clip = 0.0});
  PipelineSetup tight = setup_of({.stages = 2, .clip = 1e-3});
  Pipeline<double> a = make(loose);
  Pipeline<double> b = make(tight);
  const StepResult first = a.step(step_info(0), tokens(0));
  EXPECT_EQ(first.gradient_norm, b.step(step_info(0), tokens(0)).gradient_norm)
      << "the norm is before clipping";
  EXPECT_GT(first.gradient_norm, 1e-3);
  EXPECT_NE(a.step(step_info(1), tokens(1)).loss, b.step(step_info(1), tokens(1)).loss);
}

TEST(Executor, EvaluationIsTheMeanLossAndChangesNothing) {
  const PipelineSetup setup = setup_of({.stages = 3});
  Pipeline<double> pipeline = make(setup);
  const double found = pipeline.evaluate(3, tokens(9));
  double sum = 0.0;
  for (int b = 0; b < 3; ++b) {
    model::Stage<double> stage = whole_stage(setup, 9, b);
    stage.forward(0, stage.weights());
    sum += stage.evaluate(0, stage.weights());
  }
  EXPECT_NEAR(found, sum / (3 * tokens_per_micro_batch(setup)), 1e-13);

  Pipeline<double> undisturbed = make(setup);
  for (int step = 0; step < 3; ++step) {
    const StepResult a = pipeline.step(step_info(step), tokens(step));
    pipeline.evaluate(2, tokens(9));
    const StepResult b = undisturbed.step(step_info(step), tokens(step));
    EXPECT_EQ(a.loss, b.loss);
    EXPECT_EQ(a.gradient_norm, b.gradient_norm);
  }
}

TEST(Executor, TheNextTokenIsChosenOnceFromTheLogits) {
  const PipelineSetup setup = setup_of({.stages = 3});
  const std::int64_t position = 4;
  model::Stage<double> stage = whole_stage(setup, 2, 0);
  stage.forward(0, stage.weights());
  const auto wanted = to_host(space(), stage.logits(0, position, stage.weights()));

  int calls = 0;
  const auto token = make(setup).next_token(tokens(2), position, [&](std::span<const double> logits) {
    ++calls;
    EXPECT_EQ(logits.size(), static_cast<std::size_t>(setup.model.vocab));
    for (std::size_t v = 0; v < logits.size(); ++v) EXPECT_NEAR(logits[v], wanted(0, v), 1e-13);
    return 6;
  });
  EXPECT_EQ(token, 6);
  EXPECT_EQ(calls, 1);
}

TEST(Executor, OnlyTheEndsAskForTokens) {
  const PipelineSetup setup = setup_of({.stages = 3, .schedule = "gpipe", .micro_batches = 2});
  std::vector<std::string> asked;
  const auto source = [&](const BatchRequest& request) {
    if (request.ids.extent(0) > 0) asked.push_back(fmt::format("ids {}", request.micro_batch));
    if (request.targets.extent(0) > 0) asked.push_back(fmt::format("targets {}", request.micro_batch));
    tokens(0)(request);
  };
  make(setup).step(step_info(0), source);
  EXPECT_THAT(asked, testing::UnorderedElementsAre("ids 0", "ids 1", "targets 0", "targets 1"));
}

TEST(Executor, BytesAreExact) {
  const PipelineSetup setup = setup_of({.stages = 3, .micro_batches = 4, .tied = true});
  Pipeline<double> pipeline(space(), setup, codec::NoneCodec<double>(codec::Wire::bfloat16));
  pipeline.step(step_info(0), tokens(0));
  const std::int64_t message = tokens_per_micro_batch(setup) * setup.model.hidden * 2;
  const BoundaryBytes step{.forward = 4 * message, .backward = 4 * message};
  auto statistics = gather_statistics(pipeline);
  EXPECT_EQ(statistics.boundaries, (std::vector<BoundaryBytes>{step, step}));
  EXPECT_EQ(statistics.tied, 2 * 8 * setup.model.vocab * setup.model.hidden);

  pipeline.evaluate(5, tokens(9));
  pipeline.next_token(tokens(9), 0, [](std::span<const double>) { return 0; });
  statistics = gather_statistics(pipeline);
  const BoundaryBytes evaluation{.evaluation = 6 * message};
  EXPECT_EQ(statistics.boundaries, (std::vector<BoundaryBytes>{evaluation, evaluation}));
  EXPECT_EQ(statistics.tied, 0);
}

TEST(Executor, TimesAreOfWhatEachRankDid) {
  Pipeline<double> pipeline = make(setup_of({.stages = 3}));
  pipeline.step(step_info(0), tokens(0));
  const auto ranks = gather_statistics(pipeline).ranks;
  ASSERT_EQ(ranks.size(), 3U);
  for (const auto& rank : ranks) {
    EXPECT_GT(rank.seconds_compute, 0.0);
    EXPECT_GT(rank.seconds_communication, 0.0);
    // On a device the virtual ranks' work is one queue, in which there need not be a gap.
    if (host_accessible) {
      EXPECT_GT(rank.seconds_wait, 0.0);
    }
  }
  EXPECT_GT(ranks[0].seconds_input, 0.0);
  EXPECT_EQ(ranks[1].seconds_input, 0.0);
}

TEST(Executor, VotesReachEveryRank) {
  Pipeline<double> pipeline = make(setup_of({.stages = 3}));
  int next = 5;
  pipeline::StepInfo info = step_info(0);
  info.vote = [&] { return next++; };
  pipeline.step(info, tokens(0));
  for (auto& executor : pipeline.executors()) {
    EXPECT_THAT(executor->result().votes, testing::UnorderedElementsAre(5, 6, 7));
  }
  EXPECT_EQ(pipeline.step(step_info(1), tokens(1)).votes, (std::vector<int>{0, 0, 0}));
}

TEST(Executor, ATraceHoldsEveryActionInOrder) {
  Pipeline<double> pipeline = make(setup_of({.stages = 3, .micro_batches = 5}));
  pipeline::StepInfo info = step_info(0);
  info.trace = true;
  pipeline.step(info, tokens(0));
  pipeline.step(step_info(1), tokens(1));
  pipeline.evaluate(1, tokens(9));
  const pipeline::Schedule wanted = pipeline::schedule("1f1b", 3, 5);
  for (int rank = 0; rank < 3; ++rank) {
    const auto& trace = pipeline.executors()[rank]->trace();
    ASSERT_EQ(trace.size(), wanted.ranks[rank].size());
    double end = 0.0;
    for (std::size_t i = 0; i < trace.size(); ++i) {
      EXPECT_EQ(trace[i].action, wanted.ranks[rank][i]);
      EXPECT_GE(trace[i].start, end);
      EXPECT_GE(trace[i].waited, 0.0);
      EXPECT_GE(trace[i].end, trace[i].start + trace[i].waited);
      end = trace[i].end;
    }
  }
}

TEST(Executor, OneForwardOneBackwardKeepsFewerMicroBatches) {
  Pipeline<double> gpipe = make(setup_of({.stages = 2, .schedule = "gpipe", .micro_batches = 6}));
  Pipeline<double> one = make(setup_of({.stages = 2, .schedule = "1f1b", .micro_batches = 6}));
  const auto activations = [](Pipeline<double>& pipeline, int rank) {
    return pipeline.executors()[rank]->units()[0].stage().activation_bytes();
  };
  EXPECT_GT(activations(gpipe, 0), 2 * activations(one, 0));
  EXPECT_GT(activations(gpipe, 1), 4 * activations(one, 1) / 2);
  for (int rank = 0; rank < 2; ++rank) {
    auto& unit = one.executors()[rank]->units()[0];
    const std::int64_t message = 2 * 6 * 16 * 8;
    EXPECT_EQ(one.executors()[rank]->memory_bytes(), unit.stage().parameter_bytes() +
                                                         unit.stage().activation_bytes() +
                                                         unit.optimizer().state_bytes() + 4 * message);
  }
}

TEST(Executor, AStepThatIsNotFiniteChangesNothing) {
  const PipelineSetup setup = setup_of({.stages = 3});
  Pipeline<double> pipeline = make(setup);
  Pipeline<double> undisturbed = make(setup);
  pipeline.step(step_info(0), tokens(0));
  undisturbed.step(step_info(0), tokens(0));

  const Vector<double>& weights = pipeline.executors()[1]->units()[0].stage().weights();
  auto host = to_host(space(), weights);
  const double good = host(0);
  host(0) = std::numeric_limits<double>::quiet_NaN();
  to_device(space(), weights, host);
  pipeline.step(step_info(1), tokens(1));
  for (auto& executor : pipeline.executors()) {
    EXPECT_FALSE(executor->result().finite);
    EXPECT_TRUE(std::isnan(executor->result().loss));
  }
  host(0) = good;
  to_device(space(), weights, host);
  for (int step = 1; step < 4; ++step) {
    const StepResult a = pipeline.step(step_info(step), tokens(step));
    EXPECT_TRUE(a.finite);
    EXPECT_EQ(a.loss, undisturbed.step(step_info(step), tokens(step)).loss);
  }
}

TEST(Executor, AnErrorOfTheSourceReachesTheCaller) {
  Pipeline<double> pipeline = make(setup_of({.stages = 2}));
  EXPECT_THROW(pipeline.step(step_info(0), [](const BatchRequest&) { throw std::runtime_error("no data"); }),
               std::runtime_error);
}

}  // namespace
}  // namespace strait::test
