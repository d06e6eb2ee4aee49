#pragma once
// The executors of this process: one over MPI, or all stages of an emulated pipeline.

#include "strait/pipeline/executor.hpp"
#include "strait/pipeline/mpi_transport.hpp"

#include <mpi.h>

#include <memory>
#include <vector>

namespace strait::app {

template <class T>
class Crew {
 public:
  /// One executor as this rank of `communicator`, or `setup.stages()` of them over the loopback transport.
  Crew(const ExecutionSpace& exec, const pipeline::PipelineSetup& setup, const codec::Codec<T>& codec,
       MPI_Comm communicator, bool emulated, pipeline::WaitHook hook);

  /// Begins a list on every executor with `begin(executor)` and runs it to its end.
  template <class Begin>
  void run(Begin&& begin) {
    for (auto& executor : executors_) begin(*executor);
    run_to_end();
  }

  std::vector<std::unique_ptr<pipeline::Executor<T>>>& executors() { return executors_; }
  /// Any executor: results are the same on all.
  pipeline::Executor<T>& front() { return *executors_.front(); }

 private:
  void run_to_end();

  std::vector<std::unique_ptr<pipeline::Transport>> transports_;
  std::vector<std::unique_ptr<pipeline::Executor<T>>> executors_;
};

extern template class Crew<float>;
extern template class Crew<double>;

}  // namespace strait::app
