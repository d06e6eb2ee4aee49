// How long plans take for machines of size: 96 layers on 256 ranks and 200 layers on 1,024, all layers
// different, on one level and nested, on fast and on slow links, with little memory and ranks of different
// speeds. `of_balance`: the plan's bottleneck over what perfect balance would be.

#include "strait/core/random.hpp"
#include "strait/pipeline/planner.hpp"

#include "suite.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string>

namespace strait::pipeline {
namespace {

struct Case {
  const char* schedule;
  double bandwidth;  // bit/s of the outermost level; of an inner one 30 times as much
  int layers;
  bool short_of_memory;
  bool speeds_differ;
  std::vector<int> components;
};

PlanTask task_of(const Case& of) {
  const Philox random(1, 0);
  const auto around = [&](double value, std::uint64_t index) {
    return value * (0.9 + 0.2 * random.uniform(index));
  };
  PlanTask task;
  task.schedule = of.schedule;
  task.micro_batches = 1024;
  for (int i = 0; i < of.layers; ++i) {
    const double third = around(0.01, 2 * i);
    task.layers.push_back({.forward = third,
                           .backward_input = third,
                           .backward_weight = third,
                           .update = 0.001,
                           .parameter_bytes = around(1e8, 2 * i + 1),
                           .state_bytes = 3e8,
                           .activation_bytes = 5e7,
                           .bytes_forward = 1.6e7,
                           .bytes_backward = 1.6e7});
  }
  for (std::size_t k = 0; k < of.components.size(); ++k) {
    const bool outermost = k + 1 == of.components.size();
    task.machine.levels.push_back({.components = of.components[k],
                                   .bandwidth = outermost ? of.bandwidth : 30.0 * of.bandwidth,
                                   .latency = 1e-5});
  }
  if (of.short_of_memory) task.machine.memory_bytes = 8'000'000'000;
  for (int rank = 0; of.speeds_differ && rank < task.machine.ranks(); ++rank) {
    task.machine.speed.push_back(0.5 + random.uniform(100'000 + rank));
  }
  return task;
}

void plan(benchmark::State& state, const Case& of) {
  const PlanTask task = task_of(of);
  Plan plan;
  for (auto _ : state) plan = make_plan(task);
  double balanced = 0.0;
  for (const PlanLayer& layer : task.layers) balanced += layer.compute() / task.machine.ranks();
  state.counters["stages"] = static_cast<double>(plan.stages.size());
  state.counters["seconds_of_a_micro_batch"] = plan.seconds_per_micro_batch;
  state.counters["of_balance"] = plan.seconds_per_micro_batch / balanced;
}

const struct {
  int layers;
  std::vector<std::vector<int>> machines;
} sizes[] = {{96, {{256}, {8, 32}, {4, 8, 8}}}, {200, {{1024}, {8, 128}, {8, 16, 8}}}};

void list(perf::Suite& suite, const std::vector<perf::Deck>&) {
  for (const auto& size : sizes) {
    for (const auto& components : size.machines) {
      const std::string machine = fmt::format("{}", fmt::join(components, "x"));
      const auto add = [&](const std::string& name, const Case& of) {
        suite.add_experiment(fmt::format("planner/{} layers, {} ranks/{}", size.layers, machine, name),
                             [of](benchmark::State& state) { plan(state, of); });
      };
      add("1f1b, 100 Gbit per s", {"1f1b", 1e11, size.layers, false, false, components});
      add("1f1b, 100 Mbit per s", {"1f1b", 1e8, size.layers, false, false, components});
      add("1f1b, 10 Gbit per s, memory", {"1f1b", 1e10, size.layers, true, false, components});
      add("pipedream, 10 Gbit per s, memory, speeds",
          {"pipedream", 1e10, size.layers, true, true, components});
    }
  }
}
const perf::Registration registration(list);

}  // namespace
}  // namespace strait::pipeline
