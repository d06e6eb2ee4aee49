#pragma once
// Whether MPI is given the messages' device memory, or copies of it in host memory.

#include "strait/core/gpu_aware.hpp"
#include "strait/core/kokkos.hpp"
#include "strait/pipeline/network.hpp"

#include <mpi.h>

#include <optional>
#include <string>

namespace strait::pipeline {

struct MessagePath {
  bool staged = !host_accessible;  ///< through host memory
  std::string reason = {};

  /// For people: begins with "direct" or "staged".
  std::string text() const;
};

/// By what the deck wants and by what works; the same on all ranks of `communicator`. Collective. "on" where
/// it does not work: Error(ExitCode::environment), on all ranks. `says`: the MPI's own word, on all ranks or
/// on none; where it is no on any, nothing is tried.
MessagePath choose_message_path(const ExecutionSpace& exec, MPI_Comm communicator, GpuAware wanted,
                                std::optional<bool> says = host_accessible ? std::nullopt
                                                                           : mpi_takes_device_memory());

/// Sends messages in device memory around the ring of all ranks, small and large, of several types, compares
/// what arrived on the device, and sends it back the other way. What went wrong first, at the lowest rank
/// where anything did, the same on all; empty where all is well. A message that has not come after `patience`
/// seconds is wrong. Collective. A crash inside MPI is beyond it.
std::string ring_test(const ExecutionSpace& exec, MPI_Comm communicator, double patience = 30.0);

}  // namespace strait::pipeline
