#pragma once
// Helpers of the kernel benchmarks: operands and floating-point rates relative to a large matrix product.

#include "strait/core/tensor.hpp"
#include "strait/kernels/elementwise.hpp"
#include "strait/kernels/matmul.hpp"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <ctime>

namespace strait::perf {

/// [rows, columns] of normal numbers.
inline Matrix<float> normal_matrix(const ExecutionSpace& exec, std::int64_t row_count,
                                   std::int64_t column_count, std::uint64_t stream, double scale = 1.0) {
  const Matrix<float> m("strait::perf::matrix", row_count, column_count);
  kernels::fill_normal<float>(exec, Vector<float>(m.data(), m.size()), scale, 1, stream);
  return m;
}

/// Floating-point operations a second of processor time, which is what Google Benchmark's rates count, of
/// c [m, n] = a [m, k] b [k, n]: the best of some repetitions.
inline double gemm_rate(std::int64_t m, std::int64_t n, std::int64_t k) {
  const ExecutionSpace exec;
  const auto a = normal_matrix(exec, m, k, 1), b = normal_matrix(exec, k, n, 2);
  const Matrix<float> c("strait::perf::c", m, n);
  double best = 0.0;
  for (int repetition = 0; repetition < 10; ++repetition) {
    const std::clock_t start = std::clock();
    kernels::matmul<float>(exec, c, a, b);
    fence(exec, "strait::perf: the product is timed whole");
    const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    best = std::max(best, 2.0 * m * n * k / seconds);
  }
  return best;
}

/// Adds the counters `gflops` and `of_gemm` for `flops` operations an iteration.
inline void count_flops(benchmark::State& state, double flops) {
  static const double reference = gemm_rate(1024, 1024, 1024);
  state.counters["gflops"] = benchmark::Counter(1e-9 * flops, benchmark::Counter::kIsIterationInvariantRate);
  state.counters["of_gemm"] =
      benchmark::Counter(flops / reference, benchmark::Counter::kIsIterationInvariantRate);
}

}  // namespace strait::perf
