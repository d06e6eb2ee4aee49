// One training step of a whole model on one rank: forward, backward and AdamW of a small LLaMA in float.
// Counters: milliseconds a step by kernel label (regions: what is in no kernel), `gemm_share` of the matrix
// products in the step, `gflops` by the model's own count.

#include "strait/core/host_mirror.hpp"
#include "strait/model/stage.hpp"
#include "strait/optim/optimizer.hpp"

#include "kernel_times.hpp"

#include <benchmark/benchmark.h>

namespace strait::model {
namespace {

void fill_ids(const ExecutionSpace& exec, const MutableTokenIds& ids, int vocab) {
  auto host = to_host(exec, ids);
  for (std::size_t i = 0; i < host.size(); ++i) host(i) = static_cast<std::int32_t>(i * 7919 % vocab);
  to_device(exec, ids, host);
}

void step(benchmark::State& state, const LlamaConfig& config, int sequences, const StageOptions& options) {
  const ExecutionSpace exec;
  auto one = options;
  one.sequences = sequences;
  Stage<float> stage(exec, config, {0, config.layers, true, true}, one);
  fill_ids(exec, stage.ids(0), config.vocab);
  fill_ids(exec, stage.targets(0), config.vocab);
  const auto optimizer = optim::make_optimizer<float>({.name = "adamw",
                                                       .learning_rate = 1e-4,
                                                       .beta1 = 0.9,
                                                       .beta2 = 0.95,
                                                       .epsilon = 1e-8,
                                                       .weight_decay = 0.1,
                                                       .clip = 1.0,
                                                       .warmup_steps = 0,
                                                       .decay = "constant",
                                                       .final_fraction = 1.0},
                                                      stage.layout());
  const auto take_step = [&] {
    Kokkos::deep_copy(exec, stage.gradients(), 0.0f);
    stage.forward(0, stage.weights());
    stage.backward(0, stage.weights(), 1.0 / static_cast<double>(stage.tokens()));
    optimizer->update(exec, stage.weights(), stage.gradients(), {.learning_rate = 1e-4});
    benchmark::DoNotOptimize(stage.take_loss());
  };
  take_step();
  for (auto _ : state) take_step();

  const perf::KernelTimes times;  // slows the step down: after the timed ones
  take_step();
  double total = 0.0;
  for (const auto& [label, seconds] : perf::KernelTimes::seconds()) total += seconds;
  for (const auto& [label, seconds] : perf::KernelTimes::seconds()) {
    if (seconds > 1e-3 * total) {
      state.counters[label] = 1e3 * seconds;
    }
  }
  state.counters["gemm_share"] = perf::KernelTimes::seconds()["gemm"] / total;
  state.counters["gflops"] =
      benchmark::Counter(1e-9 * config.flops_per_token() * static_cast<double>(stage.tokens()),
                         benchmark::Counter::kIsIterationInvariantRate);
}

const LlamaConfig small{
    .layers = 8, .hidden = 512, .heads = 8, .kv_heads = 8, .ffn_hidden = 1408, .vocab = 4096, .context = 256};

BENCHMARK_CAPTURE(step, fused, small, 8, {})->Unit(benchmark::kMillisecond)->Iterations(3);
BENCHMARK_CAPTURE(step, recompute, small, 8, {.recompute = true})
    ->Unit(benchmark::kMillisecond)
    ->Iterations(3);

}  // namespace
}  // namespace strait::model
