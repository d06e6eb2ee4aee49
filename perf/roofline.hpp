#pragma once
// What the machine can do at best: the rate of a large matrix product and of a plain copy, measured beside
// each benchmark, so that a fraction of them is the same on a machine that is slower for a while.

#include <benchmark/benchmark.h>

namespace strait::perf {

/// Floating-point operations a second of c = a b, square and large: the order doubles from 1,024 until a
/// product takes 5 ms. For float, double and bfloat16, which is float's on hosts: there it is storage only.
template <class T>
double gemm_rate();

/// Seconds of a copy that reads and writes `bytes` together, at most 256 MB, scaled.
double copy_seconds(double bytes);

/// What a run has to do at least.
struct Work {
  double flops = 0.0;                    ///< of the plain formulas
  double bytes = 0.0;                    ///< read and written
  double (*peak)() = &gemm_rate<float>;  ///< in the precision of the operations
};

/// Seconds that the work takes at either rate; 0 where there is none.
struct Roofline {
  double gemm_seconds = 0.0;
  double copy_seconds = 0.0;
};

Roofline measure_roofline(const Work& work);

/// Adds `gflops` and `of_gemm`, the share of the rate of a large product, and `gbytes` and `of_copy`, the
/// share of the rate of a copy of as many bytes: per second, and against the mean of two measurements.
void count(benchmark::State& state, const Work& work, const Roofline& before, const Roofline& after);

/// Whether rates and times are per processor time: where one thread does everything.
bool counts_processor_time();

/// Seconds on that clock.
double now();

}  // namespace strait::perf
