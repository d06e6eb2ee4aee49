#pragma once
// strait profile: measures what a model's layers, a boundary and the link cost.

#include "strait/app/command_line.hpp"
#include "strait/app/settings.hpp"
#include "strait/codec/codec.hpp"
#include "strait/pipeline/profile.hpp"

#include <mpi.h>

namespace strait::app {

/// The line by which a profile is known to be of this model: shapes and precision.
std::string profiled_model(const Settings& settings);

/// Measures on every rank at once, as in a run, and writes rank 0's profile to `line.output`, or to
/// profile.h5 in the deck's output folder. An older file there is replaced. Collective; errors are agreed on.
template <class T>
ExitCode profile_command(MPI_Comm communicator, const CommandLine& line, const Deck& deck,
                         const Settings& settings, const codec::Codec<T>& codec);

}  // namespace strait::app
