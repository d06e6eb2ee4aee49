#pragma once
// Asynchronous pipelines of tiny models, and what they must equal.

#include "strait/pipeline/asynchronous.hpp"

#include "support/asynchronous_oracle.hpp"
#include "support/pipelines.hpp"

#include <gtest/gtest.h>

namespace strait::test {

struct AsynchronousCase {
  const char* schedule;
  const char* versions;  ///< of pipedream
  int more = 0;          ///< micro-batches of 2bw beyond the stages
};

inline const AsynchronousCase asynchronous_cases[] = {
    {"pipedream", "stash"}, {"pipedream", "vertical-sync"}, {"pipedream", "none"}, {"2bw", "stash", 1}};

inline pipeline::PipelineSetup asynchronous_setup(const AsynchronousCase& c, int stages, int updates) {
  const bool one = std::string(c.schedule) == "pipedream";
  pipeline::PipelineSetup setup = setup_of({.stages = stages,
                                            .schedule = c.schedule,
                                            .micro_batches = one ? 1 : stages + c.more,
                                            .layers = stages + 1,
                                            .clip = 0.5});
  setup.weight_versions = c.versions;
  setup.steps = updates;
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

/// Trains `pipeline` to its end, with evaluations between steps, and compares with the oracle bit for bit:
/// losses, norms of every stage, and the weights of the stages in this process.
template <class T>
void expect_oracle(const ExecutionSpace& exec, pipeline::Pipeline<T>& pipeline,
                   const pipeline::PipelineSetup& setup, const codec::Codec<T>& codec) {
  const int updates = static_cast<int>(setup.steps);
  const auto run = pipeline::asynchronous_run(setup.schedule, setup.weight_versions, setup.stages(),
                                              setup.micro_batches, setup.steps);
  const AsynchronousOracle<T> oracle(exec, setup, codec, run.rule, updates,
                                     tokens_of_run(exec, setup.model.vocab));
  std::vector<pipeline::StepResult> results;
  const auto keep = [&](const std::vector<pipeline::StepResult>& more) {
    results.insert(results.end(), more.begin(), more.end());
  };
  for (int step = 0; step < updates; ++step) {
    keep(pipeline.train(step_info(step), source_of_run(exec, setup, step)));
    if (step % 3 == 1) pipeline.evaluate(2, tokens_of_step(exec, setup.model.vocab, 500));
    if (step % 4 == 2) keep(pipeline.settle());
  }
  keep(pipeline.settle());
  ASSERT_EQ(results.size(), oracle.losses.size());
  for (int step = 0; step < updates; ++step) {
    EXPECT_EQ(results[step].step, step);
    EXPECT_EQ(results[step].loss, oracle.losses[step]) << "step " << step;
    EXPECT_EQ(results[step].rank_gradient_norms, oracle.norms[step]) << "step " << step;
    EXPECT_TRUE(results[step].finite);
  }
  for (auto& executor : pipeline.executors()) {
    const int stage = executor->units()[0].index();
    EXPECT_EQ(
        relative_difference(exec, executor->units()[0].stage().weights(), oracle.weights(stage, updates)),
        0.0)
        << "stage " << stage;
  }
}

}  // namespace strait::test
