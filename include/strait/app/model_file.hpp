#pragma once
// model.h5 of a checkpoint: parameters, optimiser and boundary state by name, whatever the ranks.

#include "strait/pipeline/executor.hpp"

#include <mpi.h>

#include <memory>
#include <string>
#include <vector>

namespace strait::app {

struct RunState {
  std::int64_t step = 0;    ///< updates done
  std::int64_t tokens = 0;  ///< seen
  std::int64_t seed = 1;
  std::string deck;  ///< effective
};

template <class T>
using Executors = std::vector<std::unique_ptr<pipeline::Executor<T>>>;

/// Writes `path`; asynchronous pipelines are settled. The ranks take turns, each adding its own stages to the
/// file, so that no tensor crosses a link. Errors are agreed on. Collective.
template <class T>
void save_model(const ExecutionSpace& exec, MPI_Comm communicator, const std::string& path,
                const RunState& state, Executors<T>& executors);

/// Puts an asynchronous pipeline, whose stages load_model has read, where the checkpoint of `step` left it.
/// False where it begins empty, because the file has another pipeline's micro-batches in flight or none, or
/// not `same_micro_batches`.
template <class T>
bool load_in_flight(const std::string& path, Executors<T>& executors, std::int64_t step,
                    bool same_micro_batches);

/// Reads this rank's stages from `path`, which may have been written on other cuts: a boundary that
/// keeps state and has none in the file starts anew, with a line in `notes`. Error(ExitCode::io) where a
/// tensor is missing or has another shape.
template <class T>
RunState load_model(const ExecutionSpace& exec, const std::string& path, Executors<T>& executors,
                    std::vector<std::string>& notes);

}  // namespace strait::app
