#pragma once
// Small pipelines with random tokens, and runs of them that can be compared.

#include "strait/codec/none.hpp"
#include "strait/pipeline/pipeline.hpp"

#include "support/llama.hpp"
#include "support/optimizers.hpp"

#include <string>
#include <vector>

namespace strait::test {

struct PipelineCase {
  int stages = 1;
  std::string schedule = "1f1b";
  int micro_batches = 4;
  bool tied = false;
  int layers = 5;
  std::vector<int> split = {};
  double clip = 1.0;
  std::string optimizer = "adamw";
  int chunks = 1;                  ///< per stage
  std::vector<int> replicas = {};  ///< of each stage
};

inline pipeline::PipelineSetup setup_of(const PipelineCase& c) {
  pipeline::PipelineSetup setup;
  setup.model = tiny_llama(c.layers, c.tied);
  setup.spans = model::split_layers(setup.model, c.stages * c.chunks, c.split);
  setup.schedule = c.schedule;
  setup.chunks = c.chunks;
  setup.replicas = c.replicas;
  setup.sequences = 2;
  setup.micro_batches = c.micro_batches;
  setup.seed = 7;
  setup.optimizer = constant_rate(c.optimizer, 5e-3, c.clip);
  return setup;
}

/// Tokens as a function of step and micro-batch; each target follows from its token, so that there is
/// something to learn.
inline pipeline::BatchSource tokens_of_step(const ExecutionSpace& exec, int vocab, std::int64_t step) {
  return [=](const pipeline::BatchRequest& request) {
    const std::uint64_t seed = 1000 + 100 * step + request.micro_batch;
    if (request.ids.extent(0) > 0) fill_ids(exec, request.ids, vocab, seed);
    if (request.targets.extent(0) == 0) return;
    fill_ids(exec, request.targets, vocab, seed);
    auto targets = to_host(exec, request.targets);
    for (std::size_t t = 0; t < targets.extent(0); ++t) targets(t) = (3 * targets(t) + 1) % vocab;
    to_device(exec, request.targets, targets);
  };
}

inline pipeline::StepInfo step_info(std::int64_t step) {
  pipeline::StepInfo info;
  info.step = step;
  info.learning_rate = 5e-3;
  return info;
}

struct Trajectory {
  std::vector<double> losses;
  std::vector<double> norms;
  double evaluation = 0.0;  ///< after the last step
};

/// `steps` steps and one evaluation of three micro-batches.
template <class T>
Trajectory train(const ExecutionSpace& exec, pipeline::Pipeline<T>& pipeline, int vocab, int steps) {
  Trajectory out;
  for (int step = 0; step < steps; ++step) {
    const auto result = pipeline.step(step_info(step), tokens_of_step(exec, vocab, step));
    out.losses.push_back(result.loss);
    out.norms.push_back(result.gradient_norm);
  }
  out.evaluation = pipeline.evaluate(3, tokens_of_step(exec, vocab, 500));
  return out;
}

/// What `none` sends without rounding.
template <class T>
codec::NoneCodec<T> exact_codec() {
  return codec::NoneCodec<T>(std::is_same_v<T, double> ? codec::Wire::float64 : codec::Wire::float32);
}

/// Every stage on this rank.
template <class T>
Trajectory train_in_process(const ExecutionSpace& exec, const PipelineCase& c, int steps) {
  const pipeline::PipelineSetup setup = setup_of(c);
  pipeline::Pipeline<T> pipeline(exec, setup, exact_codec<T>());
  return train(exec, pipeline, setup.model.vocab, steps);
}

}  // namespace strait::test
