#pragma once
// The folder that a run writes into.

#include "strait/app/checkpoint.hpp"

#include <mpi.h>

#include <filesystem>
#include <optional>
#include <string>

namespace strait::app {

/// Makes `directory` ready with `store` in it, and checks that every rank sees it: the ranks write
/// checkpoints in turn. A run that is there already is never replaced, Error(ExitCode::deck), unless
/// `restart` goes on with it: as "latest" (which starts afresh over a run that has no checkpoint yet), or by
/// one of its checkpoints. Collective; errors are agreed on.
void open_output(MPI_Comm communicator, const std::filesystem::path& directory, CheckpointStore& store,
                 const std::optional<std::string>& restart);

}  // namespace strait::app
