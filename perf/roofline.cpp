#include "roofline.hpp"

#include "strait/core/timer.hpp"
#include "strait/kernels/matmul.hpp"

#include "operands.hpp"

#include <algorithm>
#include <ctime>
#include <limits>

namespace strait::perf {

namespace {

/// Seconds of f(), waited for.
template <class F>
double seconds_of(const ExecutionSpace& exec, const F& f) {
  const double start = now();
  f();
  fence(exec, "strait::perf: the reference is timed whole");
  return now() - start;
}

template <class T>
double product_seconds(const ExecutionSpace& exec, std::int64_t order, int repetitions) {
  const auto a = normal_matrix<T>(exec, order, order, 1), b = normal_matrix<T>(exec, order, order, 2);
  const Matrix<T> c("strait::perf::c", order, order);
  double best = std::numeric_limits<double>::infinity();
  for (int k = 0; k < repetitions; ++k) {
    best = std::min(best, seconds_of(exec, [&] { kernels::matmul<T>(exec, c, a, b); }));
  }
  return best;
}

/// The smallest order whose product is long enough to time.
template <class T>
std::int64_t reference_order(const ExecutionSpace& exec) {
  std::int64_t order = 1024;
  while (order < 8192 && product_seconds<T>(exec, order, 3) < 5e-3) order *= 2;
  return order;
}

}  // namespace

bool counts_processor_time() { return ExecutionSpace().concurrency() == 1; }

double now() {
  static const bool processor = counts_processor_time();
  static const Stopwatch watch;
  if (!processor) return watch.seconds();
  timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

template <class T>
double gemm_rate() {
  if constexpr (host_accessible && is_narrow<T>) return gemm_rate<Compute<T>>();
  const ExecutionSpace exec;
  static const std::int64_t order = reference_order<T>(exec);
  const auto n = static_cast<double>(order);
  return 2.0 * n * n * n / product_seconds<T>(exec, order, 2);
}

double copy_seconds(double bytes) {
  constexpr double most = 256e6, long_enough = 2e-3;
  const ExecutionSpace exec;
  const auto size =
      std::max<std::int64_t>(1, static_cast<std::int64_t>(std::min(bytes, most) / (2 * sizeof(float))));
  const Vector<float> from("strait::perf::from", size), to("strait::perf::to", size);
  double best = std::numeric_limits<double>::infinity(), spent = 0.0;
  for (int repetition = 0; repetition < 3 || spent < long_enough; ++repetition) {
    const double seconds = seconds_of(exec, [&] { Kokkos::deep_copy(exec, to, from); });
    best = std::min(best, seconds);
    spent += seconds;
  }
  return best * std::max(1.0, bytes / most);
}

Roofline measure_roofline(const Work& work) {
  return {.gemm_seconds = work.flops > 0 ? work.flops / work.peak() : 0.0,
          .copy_seconds = work.bytes > 0 ? copy_seconds(work.bytes) : 0.0};
}

void count(benchmark::State& state, const Work& work, const Roofline& before, const Roofline& after) {
  const auto rate = [&](const char* name, double per_run) {
    state.counters[name] = benchmark::Counter(per_run, benchmark::Counter::kIsIterationInvariantRate);
  };
  if (work.flops > 0) {
    rate("gflops", 1e-9 * work.flops);
    rate("of_gemm", 0.5 * (before.gemm_seconds + after.gemm_seconds));
  }
  if (work.bytes > 0) {
    rate("gbytes", 1e-9 * work.bytes);
    rate("of_copy", 0.5 * (before.copy_seconds + after.copy_seconds));
  }
}

template double gemm_rate<float>();
template double gemm_rate<double>();
template double gemm_rate<bfloat16>();

}  // namespace strait::perf
