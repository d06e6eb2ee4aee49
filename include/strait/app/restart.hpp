#pragma once
// Which checkpoint a run goes on from, and what has changed since.

#include "strait/app/checkpoint.hpp"
#include "strait/core/deck.hpp"

#include <mpi.h>

#include <optional>
#include <string>
#include <vector>

namespace strait::app {

/// The whole checkpoint that `from` means ("latest", or a folder) on all ranks; nothing where `from` is
/// "latest" and there is none. Warns of each damaged one that is passed over. Collective; errors are agreed
/// on.
std::optional<std::filesystem::path> choose_checkpoint(MPI_Comm communicator, CheckpointStore& store,
                                                       const std::string& from);

/// A line for each key in which `deck` differs from `stored`, the effective deck of a checkpoint, but for
/// those that say how long a run is and what it writes.
std::vector<std::string> changed_keys(const Deck& deck, const std::string& stored);

/// Whether micro-batches in flight of a run with the effective deck `stored` mean the same in `deck`.
bool same_micro_batches(const Deck& deck, const std::string& stored);

}  // namespace strait::app
