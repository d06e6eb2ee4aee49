#pragma once
// How much of a step the ranks of a schedule stand idle, measured by the executor with layers that take a
// given time, against what theory says.

#include "strait/pipeline/timed_stage.hpp"

#include "support/pipeline_statistics.hpp"
#include "support/pipelines.hpp"

#include <string>
#include <vector>

namespace strait::test {

/// Equal blocks; table and head take no time, as stages are to be equal.
inline pipeline::Profile equal_layers(int blocks, double forward, double backward_input,
                                      double backward_weight) {
  const auto take = [](double seconds) { return pipeline::Timing{seconds, seconds, seconds}; };
  pipeline::Profile profile;
  profile.layers.push_back({.name = "model.embed_tokens"});
  for (int i = 0; i < blocks; ++i) {
    profile.layers.push_back({.name = fmt::format("model.layers.{}", i),
                              .forward = take(forward),
                              .backward_input = take(backward_input),
                              .backward_weight = take(backward_weight)});
  }
  profile.layers.push_back({.name = "lm_head"});
  return profile;
}

/// The idle shares of all ranks of an asynchronous run, each by its own clock so that nobody waits for a
/// measurement: the mean over the ranks for each of `windows` windows of `steps` steps, once the pipeline is
/// full. setup.steps becomes the length of the run. Collective.
inline std::vector<double> asynchronous_idle_shares(pipeline::PipelineSetup setup, int windows, int steps) {
  const int fill = setup.stages();
  setup.steps = 2 * fill + std::int64_t{windows} * steps;
  const ExecutionSpace exec;
  pipeline::Pipeline<float> pipeline(exec, setup, exact_codec<float>(), MPI_COMM_WORLD);
  auto& executor = pipeline.front();
  std::int64_t step = 0;
  const auto train = [&](int count) {
    for (const std::int64_t end = step + count; step < end; ++step) {
      pipeline.train(step_info(step), tokens_of_step(exec, setup.model.vocab, step));
    }
  };
  train(fill);
  std::vector<double> shares(windows);
  for (double& share : shares) {
    executor.take_statistics();
    const double start = executor.transport().seconds();
    train(steps);
    const double seconds = executor.transport().seconds() - start;
    share = 1.0 - executor.take_statistics().seconds_compute / seconds;
  }
  train(fill);
  pipeline.settle();
  MPI_Allreduce(MPI_IN_PLACE, shares.data(), windows, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
  for (double& share : shares) share /= setup.stages();
  return shares;
}

/// Measures steps of one pipeline. Collective.
class IdleMeter {
 public:
  explicit IdleMeter(const pipeline::PipelineSetup& setup, MPI_Comm communicator)
      : vocab_(setup.model.vocab), pipeline_(exec_, setup, exact_codec<float>(), communicator) {
    measure(1);  // the first of all steps is not like the others
  }

  /// 1 - what all ranks computed in the next `steps` steps over what they could have computed.
  double measure(int steps) {
    gather_statistics(pipeline_);
    const double start = pipeline_.front().transport().seconds();
    for (int i = 0; i < steps; ++i, ++step_) {
      pipeline_.step(step_info(step_), tokens_of_step(exec_, vocab_, step_));
    }
    const double seconds = pipeline_.front().transport().seconds() - start;
    const auto ranks = gather_statistics(pipeline_).ranks;
    double computed = 0.0;
    for (const auto& rank : ranks) computed += rank.seconds_compute;
    return 1.0 - computed / (seconds * static_cast<double>(ranks.size()));
  }

 private:
  ExecutionSpace exec_;
  int vocab_;
  pipeline::Pipeline<float> pipeline_;
  std::int64_t step_ = 0;
};

}  // namespace strait::test
