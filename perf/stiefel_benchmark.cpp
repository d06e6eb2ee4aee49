// Updates of one or several projectors at hidden 512, rank 128 in float32, their parts, and the direction of
// Muon for the matrices of a block of that width. Floating-point operations of the plain formulas against a
// large matrix product: symmetric products take fewer, so that more than its rate is possible.

#include "strait/kernels/elementwise.hpp"
#include "strait/kernels/msign.hpp"
#include "strait/kernels/orthonormal.hpp"
#include "strait/optim/stiefel.hpp"

#include "gemm_rate.hpp"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <vector>

namespace strait::optim {
namespace {

constexpr std::int64_t hidden = 512, rank = 128;

/// Operations of `iterations` quintic steps on [rows, columns].
constexpr double quintic_flops(double row_count, double column_count, int iterations) {
  const double order = std::min(row_count, column_count);
  return iterations * (4.0 * row_count * column_count * order + 2.0 * order * order * order);
}

/// Of gradient and momentum.
constexpr double projection_flops = 2 * 4.0 * hidden * rank * rank;

/// Of as many projectors in one call as the argument.
void update(benchmark::State& state, const char* name, double flops) {
  const ExecutionSpace exec;
  const auto count = static_cast<int>(state.range(0));
  std::vector<Matrix<float>> projectors, gradients;
  for (int i = 0; i < count; ++i) {
    projectors.emplace_back("strait::perf::a", hidden, rank);
    kernels::fill_orthonormal<float>(exec, projectors.back(), 1, i);
    gradients.push_back(perf::normal_matrix(exec, hidden, rank, 2 + i));
  }
  const auto optimizer = make_projector_optimizer<float>(name, count, hidden, rank);
  for (auto _ : state) {
    optimizer->update(exec, projectors, gradients, 2e-3);
    fence(exec, "strait::perf: each call is timed whole");
  }
  perf::count_flops(state, flops * count);
}

void msign(benchmark::State& state) {
  const ExecutionSpace exec;
  const auto row_count = state.range(0), column_count = state.range(1);
  const auto x = perf::normal_matrix(exec, row_count, column_count, 1);
  const Matrix<float> d("strait::perf::d", row_count, column_count);
  const kernels::PolarWorkspace<float> workspace(row_count, column_count);
  for (auto _ : state) {
    kernels::msign<float>(exec, d, x, workspace);
    fence(exec, "strait::perf: each call is timed whole");
  }
  perf::count_flops(state, quintic_flops(row_count, column_count, 5));
}

void retract(benchmark::State& state) {
  const ExecutionSpace exec;
  const Matrix<float> a("strait::perf::a", hidden, rank);
  kernels::fill_orthonormal<float>(exec, a, 1, 1);
  const kernels::PolarWorkspace<float> workspace(hidden, rank);
  for (auto _ : state) {
    kernels::polar_retract<float>(exec, a, workspace);
    fence(exec, "strait::perf: each call is timed whole");
  }
  perf::count_flops(state, quintic_flops(hidden, rank, 1));
}

void start(benchmark::State& state) {
  const ExecutionSpace exec;
  const Matrix<float> a("strait::perf::a", hidden, rank);
  for (auto _ : state) kernels::fill_orthonormal<float>(exec, a, 1, 1);
}

constexpr double spel_flops = projection_flops + quintic_flops(hidden, rank, 6);
constexpr double dual_step_flops = quintic_flops(hidden, rank, 5) + 4.0 * hidden * rank * rank;
constexpr double manifold_muon_flops = projection_flops + quintic_flops(hidden, rank, 1) +
                                       ProjectorOptimizerOptions{}.dual_steps * dual_step_flops;

BENCHMARK_CAPTURE(update, spel, spel, spel_flops)->Arg(1)->Arg(3)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(update, manifold_muon, manifold_muon, manifold_muon_flops)
    ->Arg(1)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(update, unconstrained, unconstrained_muon, quintic_flops(hidden, rank, 5))
    ->Arg(1)
    ->Unit(benchmark::kMillisecond);
BENCHMARK(retract)->Unit(benchmark::kMillisecond);
BENCHMARK(start)->Unit(benchmark::kMillisecond);
BENCHMARK(msign)
    ->Args({hidden, rank})
    ->Args({512, 512})
    ->Args({1408, 512})
    ->Args({512, 1408})
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace strait::optim
