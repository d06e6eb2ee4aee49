#pragma once
// The end-of-run report.

#include "strait/app/step_log.hpp"

#include <string>

namespace strait::app {

struct Report {
  std::int64_t steps = 0;  ///< of this process
  double tokens = 0.0;
  double seconds = 0.0;           ///< since start
  double seconds_training = 0.0;  ///< in steps
  double seconds_validation = 0.0;
  double seconds_files = 0.0;  ///< metrics and checkpoints
  double flops_per_token = 0.0;
  double matmul_rate = 0.0;  ///< FLOP/s of one process
  int processes = 1;
};

/// FLOP/s of a large matrix product in this process, measured now: the denominator of the utilisation.
template <class T>
double matmul_rate(const ExecutionSpace& exec);

/// Throughput, utilisation, where the time went, bytes per boundary and memory, as text.
std::string report_text(const Report& report, const StepLog& log);

}  // namespace strait::app
