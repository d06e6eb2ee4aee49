#pragma once
// A transport whose messages take as long as they would on a slower link.
//
// Messages travel at once, as fast as they can; the sender gets its buffer back once the emulated link would
// have taken the message, and the receiver sees it once it would have arrived: bytes / bandwidth after the
// link was free, and a latency later. Two stages have as many links as the one with fewer ranks has of them.
// What the replicas of a stage add up leaves each rank by a link of its own, which in half duplex it enters
// by too. A gather takes a latency for each level of a binary tree. Nobody computes less meanwhile, and no
// number changes.

#include "strait/pipeline/mpi_transport.hpp"
#include "strait/pipeline/network.hpp"
#include "strait/pipeline/placement.hpp"

namespace strait::pipeline {

/// Over MPI, on the path and the links that `network` says. Collective. Refuses to emulate links between
/// nodes, and a path that does not work: Error(ExitCode::environment), on all ranks.
std::unique_ptr<Transport> connect(const ExecutionSpace& exec, MPI_Comm communicator, int boundaries,
                                   const Placement& placement, const NetworkConfig& network,
                                   WaitHook hook = {});

}  // namespace strait::pipeline
