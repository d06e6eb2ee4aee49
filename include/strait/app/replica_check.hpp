#pragma once
// The replicas of a stage must stay the same, bit for bit.

#include "strait/pipeline/pipeline.hpp"

namespace strait::app {

/// Compares the weights of the replicas of each stage, by a checksum. Collective, between two steps. Where
/// they differ, Error(ExitCode::numerical) on all ranks: `step` says after how many steps.
template <class T>
void check_replicas(const ExecutionSpace& exec, MPI_Comm communicator, pipeline::Pipeline<T>& pipeline,
                    std::int64_t step);

}  // namespace strait::app
