#include "strait/app/report.hpp"

#include "strait/app/units_text.hpp"
#include "strait/core/timer.hpp"
#include "strait/kernels/matmul.hpp"

#include <algorithm>

namespace strait::app {

template <class T>
double matmul_rate(const ExecutionSpace& exec) {
  constexpr std::int64_t n = host_accessible ? 512 : 8192;  // launches are nothing beside it
  constexpr int repetitions = 8;
  const Matrix<T> a("strait::app::report_a", n, n), b("strait::app::report_b", n, n),
      c("strait::app::report_c", n, n);
  double best = 0.0;
  for (int i = 0; i < repetitions; ++i) {
    const Stopwatch watch;
    kernels::matmul<T>(exec, c, a, b);
    fence(exec, "strait::app::matmul_rate: the clock is read next");
    best = std::max(best, 2.0 * n * n * n / watch.seconds());
  }
  return best;
}

template double matmul_rate<float>(const ExecutionSpace&);
template double matmul_rate<double>(const ExecutionSpace&);
template double matmul_rate<bfloat16>(const ExecutionSpace&);

std::string report_text(const Report& report, const StepLog& log) {
  std::string text;
  const auto line = [&](const std::string& name, const std::string& value) {
    text += fmt::format("{:<12} {}\n", name, value);
  };
  if (report.steps == 0) return "no step was left to do\n";

  line("done",
       fmt::format("{} steps, {}tokens in {}: {}tokens/s in steps", report.steps, with_prefix(report.tokens),
                   duration_text(report.seconds), with_prefix(report.tokens / report.seconds_training)));
  const double used = report.tokens * report.flops_per_token / report.seconds_training;
  line("utilisation",
       fmt::format(
           "{:.0f} % of {} x {}FLOP/s, a large matrix product's rate measured now (6 FLOP per matrix weight "
           "and token and causal attention; recomputation does not count)",
           100.0 * used / (report.matmul_rate * report.processes), report.processes,
           with_prefix(report.matmul_rate)));
  line("outside", fmt::format("validation {}, metrics and checkpoints {}",
                              duration_text(report.seconds_validation), duration_text(report.seconds_files)));
  for (std::size_t rank = 0; rank < log.ranks().size(); ++rank) {
    const RankTotals& totals = log.ranks()[rank];
    const auto share = [&](double seconds) { return 100.0 * seconds / totals.seconds; };
    line(
        fmt::format("rank {}", rank),
        fmt::format("compute {:.1f} %, wait {:.1f} %, communication {:.1f} %, input {:.1f} %, peak memory {}",
                    share(totals.compute), share(totals.wait), share(totals.communication),
                    share(totals.input), bytes_text(totals.resident)));
  }
  for (std::size_t p = 0; p < log.boundaries().size(); ++p) {
    const BoundaryTotals& totals = log.boundaries()[p];
    const double steps = static_cast<double>(report.steps);
    line(fmt::format("boundary {}", p),
         fmt::format("per step {} forward, {} back, {} to synchronise", bytes_text(totals.forward / steps),
                     bytes_text(totals.backward / steps), bytes_text(totals.sync / steps)));
  }
  return text;
}

}  // namespace strait::app
