#pragma once
// Asynchronous pipelines of tiny models, and what they must equal.

#include "strait/pipeline/asynchronous.hpp"

#include "support/asynchronous_oracle.hpp"
#include "support/pipelines.hpp"
#include "support/replicas.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace strait::test {

struct AsynchronousCase {
  const char* schedule;
  const char* versions;  ///< of pipedream
  int more = 0;          ///< micro-batches of 2bw beyond the ranks, or beyond a multiple of the replicas
};

inline const AsynchronousCase asynchronous_cases[] = {
    {"pipedream", "stash"}, {"pipedream", "vertical-sync"}, {"pipedream", "none"}, {"2bw", "stash", 1}};

/// A run of `steps` steps. Stages without replicas have one of each.
inline pipeline::PipelineSetup asynchronous_setup(const AsynchronousCase& c, int stages, int steps,
                                                  const std::vector<int>& replicas = {}) {
  const int whole = pipeline::pipedream_micro_batches(replicas);
  const int ranks = std::accumulate(replicas.begin(), replicas.end(), replicas.empty() ? stages : 0);
  const int twice = whole == 1 ? ranks + c.more : (ranks + whole - 1) / whole * whole + c.more * whole;
  pipeline::PipelineSetup setup =
      setup_of({.stages = stages,
                .schedule = c.schedule,
                .micro_batches = std::string(c.schedule) == "pipedream" ? whole : twice,
                .layers = stages + 1,
                .clip = 0.5,
                .replicas = replicas});
  setup.weight_versions = c.versions;
  setup.steps = steps;
  return setup;
}

/// Tokens as a function of the micro-batch, whatever step asks for them.
inline RunTokens tokens_of_run(const ExecutionSpace& exec, int vocab) {
  return [=](std::int64_t micro_batch, const MutableTokenIds& ids, const MutableTokenIds& targets) {
    tokens_of_step(exec, vocab, 0)({static_cast<int>(micro_batch), ids, targets});
  };
}

inline pipeline::BatchSource source_of_run(const ExecutionSpace& exec, const pipeline::PipelineSetup& setup,
                                           std::int64_t step) {
  const RunTokens tokens = tokens_of_run(exec, setup.model.vocab);
  const std::int64_t first = step * setup.micro_batches;
  return [=](const pipeline::BatchRequest& request) {
    tokens(first + request.micro_batch, request.ids, request.targets);
  };
}

/// Trains `pipeline` to its end, with evaluations between steps, and compares with the oracle: losses, norms
/// of every stage, and the weights of the stages in this process. Bit for bit, or to a relative difference.
template <class T>
void expect_oracle(const ExecutionSpace& exec, pipeline::Pipeline<T>& pipeline,
                   const pipeline::PipelineSetup& setup, const codec::Codec<T>& codec,
                   double tolerance = 0.0) {
  const int steps = static_cast<int>(setup.steps);
  const auto run = pipeline::asynchronous_run(setup.schedule, setup.weight_versions, setup.stages(),
                                              setup.micro_batches, setup.steps, setup.replicas);
  const AsynchronousOracle<T> oracle(exec, setup, codec, run.rule, steps,
                                     tokens_of_run(exec, setup.model.vocab));
  std::vector<pipeline::StepResult> results;
  const auto keep = [&](const std::vector<pipeline::StepResult>& more) {
    results.insert(results.end(), more.begin(), more.end());
  };
  for (int step = 0; step < steps; ++step) {
    pipeline::StepInfo info = step_info(step);
    info.learning_rate = setup.optimizer.rate_at(step, steps);
    info.rate_of_update = [&, step](int update, int updates) {
      return setup.optimizer.rate_at(step, steps, update, updates);
    };
    keep(pipeline.train(info, source_of_run(exec, setup, step)));
    if (step % 3 == 1) pipeline.evaluate(2, tokens_of_step(exec, setup.model.vocab, 500));
    if (step % 4 == 2) keep(pipeline.settle());
  }
  keep(pipeline.settle());
  ASSERT_EQ(results.size(), oracle.losses.size());
  const pipeline::Placement placement = setup.placement();
  const auto expect_near = [](double found, double wanted, double relative) {
    EXPECT_LE(std::abs(found - wanted), relative * std::abs(wanted)) << found << " for " << wanted;
  };
  // Replicas of the last stage add up their losses in another order, in double precision.
  const double of_loss =
      placement.replicas_of(placement.stages - 1) > 1 ? std::max(tolerance, 1e-14) : tolerance;
  for (int step = 0; step < steps; ++step) {
    SCOPED_TRACE(fmt::format("step {}", step));
    EXPECT_EQ(results[step].step, step);
    expect_near(results[step].loss, oracle.losses[step], of_loss);
    for (int rank = 0; rank < placement.ranks(); ++rank) {
      const int stage = placement.stage_of(rank);
      expect_near(results[step].rank_gradient_norms[rank], oracle.norms[step][stage], tolerance);
    }
    EXPECT_TRUE(results[step].finite);
  }
  for (auto& executor : pipeline.executors()) {
    auto& unit = executor->units()[0];
    EXPECT_EQ(unit.version(), steps * run.rule.updates_per_step(unit.index()));
    EXPECT_LE(relative_difference(exec, unit.stage().weights(), oracle.weights(unit.index(), unit.version())),
              tolerance)
        << "stage " << unit.index();
  }
  expect_same_bits(exec, pipeline);
}

}  // namespace strait::test
