#pragma once
// Errors at points that every rank reaches: one rank speaks, all return the same exit code.

#include "strait/core/error.hpp"

#include <mpi.h>

#include <functional>

namespace strait::app {

/// An error that was reported already: ends the rank quietly with its code.
class AgreedError : public Error {
 public:
  explicit AgreedError(ExitCode code) : Error(code, "") {}
};

/// The exception that is being handled as an Error of one line, whatever it was thrown as.
Error current_error();

/// Runs `body` on every rank of `communicator`; `body` must not communicate. If it throws anywhere, the
/// lowest such rank prints its line and every rank throws AgreedError with that rank's code.
void agree(MPI_Comm communicator, const std::function<void()>& body);

}  // namespace strait::app
