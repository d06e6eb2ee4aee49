#include "strait/pipeline/message_path.hpp"

#include "strait/core/error.hpp"

namespace strait::pipeline {

std::string MessagePath::text() const {
  const std::string path = staged ? "staged through host memory" : "direct";
  return reason.empty() ? path : path + ": " + reason;
}

MessagePath choose_message_path(const ExecutionSpace& exec, MPI_Comm communicator, GpuAware wanted,
                                std::optional<bool> says) {
  if (wanted == GpuAware::off) return {.staged = true, .reason = "network.gpu_aware = \"off\""};
  int refuses = says && !*says;
  if (says) MPI_Allreduce(MPI_IN_PLACE, &refuses, 1, MPI_INT, MPI_MAX, communicator);
  const std::string fault =
      refuses ? "this MPI says that it takes no device memory" : ring_test(exec, communicator);
  if (fault.empty()) return {.staged = false, .reason = "tested at start"};
  if (wanted == GpuAware::on) {
    fail(
        ExitCode::environment,
        "strait: network.gpu_aware = \"on\", but {}: \"auto\" or \"off\" stages messages through host memory",
        fault);
  }
  return {.staged = true, .reason = fault};
}

}  // namespace strait::pipeline
