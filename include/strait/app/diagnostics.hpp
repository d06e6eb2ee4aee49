#pragma once
// What the codec of each boundary measures of itself, for metrics.h5.

#include "strait/app/metrics.hpp"
#include "strait/pipeline/pipeline.hpp"

#include <mpi.h>

#include <vector>

namespace strait::app {

/// Columns of /boundary/<p>/diagnostics: the codec's own, and its time in the step at both ends.
template <class T>
std::vector<MetricsColumn> diagnostics_columns(const codec::Codec<T>& codec);

/// One row per boundary, of the step just done, on rank 0. Collective.
template <class T>
std::vector<std::vector<double>> gather_diagnostics(const ExecutionSpace& exec, MPI_Comm communicator,
                                                    pipeline::Pipeline<T>& pipeline,
                                                    const codec::Codec<T>& codec, int boundaries);

}  // namespace strait::app
