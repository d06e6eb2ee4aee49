#pragma once
// From the command line to the end of a run.

#include "strait/core/error.hpp"

#include <mpi.h>

namespace strait::app {

/// Collective. Throws AgreedError where all ranks end alike, another Error where one rank fails alone.
ExitCode run(int argc, const char* const* argv, MPI_Comm communicator);

}  // namespace strait::app
