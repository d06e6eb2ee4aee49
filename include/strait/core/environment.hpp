#pragma once
// What a process must start before anything else and end after it: MPI, the BLAS library, Kokkos.

#include "strait/core/error.hpp"

#include <mpi.h>

namespace strait {

/// Starts MPI, Kokkos and a BLAS of one thread, and ends them in reverse order. One per process, first in
/// main; every tensor must be gone before it. Flags of MPI and Kokkos are removed from the arguments. Where a
/// rank lacks the device that this build computes on, every process ends with ExitCode::environment and one
/// line from one rank.
class Environment {
 public:
  Environment(int& argc, char** argv);
  ~Environment();
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

  /// All ranks of the run; rank() and size() are of it.
  MPI_Comm communicator() const { return MPI_COMM_WORLD; }
  int rank() const { return rank_; }
  int size() const { return size_; }

  /// Ends every rank's process with `code`, whatever the other ranks do. The message is the caller's to
  /// print.
  [[noreturn]] void abort(ExitCode code) const;

 private:
  int rank_ = 0;
  int size_ = 1;
};

}  // namespace strait
