#pragma once
// Rates of memory traffic relative to a plain copy.

#include "strait/core/tensor.hpp"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <ctime>
#include <limits>

namespace strait::perf {

/// Processor seconds (as Google Benchmark counts by default) of a copy that reads and writes `bytes`
/// together, the best of some repetitions.
inline double copy_seconds(double bytes) {
  const ExecutionSpace exec;
  const auto size = static_cast<std::int64_t>(bytes / (2 * sizeof(float)));
  const Vector<float> from("strait::perf::from", size), to("strait::perf::to", size);
  double best = std::numeric_limits<double>::infinity();
  for (int repetition = 0; repetition < 20; ++repetition) {
    const std::clock_t start = std::clock();
    Kokkos::deep_copy(exec, to, from);
    fence(exec, "strait::perf: the copy is timed whole");
    best = std::min(best, static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC);
  }
  return best;
}

/// Adds the rate of `bytes` read and written an iteration, and `of_copy`, its share of the rate of a copy
/// that moves as much.
inline void count_bytes(benchmark::State& state, double bytes) {
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(bytes));
  state.counters["of_copy"] =
      benchmark::Counter(copy_seconds(bytes), benchmark::Counter::kIsIterationInvariantRate);
}

}  // namespace strait::perf
