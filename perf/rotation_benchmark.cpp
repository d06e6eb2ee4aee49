// What basis rotation costs beyond AdamW, against its cost model: a block of width 512, 2,048 tokens to an
// update or five times as many. Per refresh every tenth update, staggered, of a matrix W [m, n]
//
//   two-sided   6 m n (m + n) + 8.7 (m^3 + n^3) / 10, from second moments also 2 m n (m + n)
//   one-sided   6 m n s + 8.7 s^3 / 10, from second moments also 2 m n s, s the shorter side
//
// operations, at the rate of a large product. Counters: `compute_ms` of forward and
// backward, `adamw_ms` and `update_ms` of an update, the mean over a cycle of refreshes; `of_model`, time
// beyond AdamW over the model's; `share_*` of that time in a whole step, `spike_*` the longest step over the
// median.

#include "strait/model/stage.hpp"
#include "strait/optim/optimizer.hpp"

#include "operands.hpp"
#include "optimizer_settings.hpp"
#include "suite.hpp"

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

namespace strait::optim {
namespace {

constexpr int refresh = 10, cycles = 3, sequences = 8;

const model::LlamaConfig block{
    .layers = 1, .hidden = 512, .heads = 8, .kv_heads = 8, .ffn_hidden = 1408, .vocab = 64, .context = 256};

OptimizerConfig config_of(const std::string& name, const std::string& source, bool two_sided) {
  OptimizerConfig config = perf::optimizer_settings(name);
  config.beta2 = 0.999;
  config.source = source;
  config.two_sided = two_sided;
  config.refresh = refresh;
  return config;
}

double model_flops(const model::ParameterLayout& layout, const std::string& source, bool two_sided) {
  double flops = 0.0;
  for (const auto& info : layout.entries()) {
    if (info.role != model::ParameterRole::matrix) continue;
    const auto m = static_cast<double>(info.rows), n = static_cast<double>(info.columns);
    const double sides = two_sided ? m + n : std::min(m, n);
    const double cubes = two_sided ? m * m * m + n * n * n : sides * sides * sides;
    flops += (source == "second" ? 8.0 : 6.0) * m * n * sides + 8.7 * cubes / refresh;
  }
  return flops;
}

template <class F>
double seconds(const F& f) {
  const double start = perf::now();
  f();
  fence(ExecutionSpace(), "strait::perf: each call is timed whole");
  return perf::now() - start;
}

/// Seconds of each update of a cycle, the best of some cycles.
std::vector<double> update_seconds(const ExecutionSpace& exec, const model::Stage<float>& stage,
                                   Optimizer<float>& optimizer) {
  const auto update = [&] {
    optimizer.update(exec, stage.weights(), stage.gradients(), {.learning_rate = 1e-4});
  };
  update();  // starts the bases
  std::vector<double> best(refresh, 1e9);
  for (int k = 0; k < cycles * refresh; ++k) best[k % refresh] = std::min(best[k % refresh], seconds(update));
  return best;
}

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

void rotation(benchmark::State& state, const std::string& source, bool two_sided) {
  const ExecutionSpace exec;
  model::Stage<float> stage(exec, block, {0, 1, false, false}, {.sequences = sequences});
  kernels::fill_normal<float>(exec, stage.gradients(), 1e-3, 2, 3);
  const auto input = stage.input(0), output_gradient = stage.output_gradient();
  kernels::fill_normal<float>(exec, Vector<float>(input.data(), input.size()), 1.0, 4, 5);
  const auto adamw = make_optimizer<float>(config_of("adamw", source, two_sided), stage.layout());
  const auto rotated = make_optimizer<float>(config_of("basis-rotation", source, two_sided), stage.layout());
  for (auto _ : state) {
    double compute = 1e9;
    for (int k = 0; k < 5; ++k) {
      kernels::fill_normal<float>(exec, Vector<float>(output_gradient.data(), output_gradient.size()), 1e-3,
                                  6, 7);
      compute = std::min(compute, seconds([&] {
                           stage.forward(0, stage.weights());
                           stage.backward(0, stage.weights(), 1.0);
                         }));
    }
    kernels::fill_normal<float>(exec, stage.gradients(), 1e-3, 2, 3);
    const double plain = mean(update_seconds(exec, stage, *adamw));
    const auto updates = update_seconds(exec, stage, *rotated);
    const double update = mean(updates), rate = perf::gemm_rate<float>();
    state.counters["compute_ms"] = 1e3 * compute;
    state.counters["adamw_ms"] = 1e3 * plain;
    state.counters["update_ms"] = 1e3 * update;
    state.counters["of_model"] = (update - plain) * rate / model_flops(stage.layout(), source, two_sided);
    for (const int parts : {1, 5}) {
      const std::string tokens = std::to_string(parts * stage.tokens());
      auto steps = updates;
      for (double& step : steps) step += parts * compute;
      std::sort(steps.begin(), steps.end());
      state.counters["share_" + tokens] = (update - plain) / (parts * compute + update);
      state.counters["spike_" + tokens] =
          steps.back() / (0.5 * (steps[refresh / 2 - 1] + steps[refresh / 2]));
    }
  }
}

void list(perf::Suite& suite, const std::vector<perf::Deck>&) {
  for (const bool two_sided : {true, false}) {
    for (const std::string source : {"second", "first"}) {
      suite.add_experiment("rotation/" + std::string(two_sided ? "two-sided" : "one-sided") + ", " + source,
                           [=](benchmark::State& state) { rotation(state, source, two_sided); });
    }
  }
}
const perf::Registration registration(list);

}  // namespace
}  // namespace strait::optim
