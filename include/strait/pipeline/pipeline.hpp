#pragma once
// The pipeline as the run loop sees it: one rank of an MPI run, or all ranks of an emulated one.

#include "strait/pipeline/executor.hpp"
#include "strait/pipeline/mpi_transport.hpp"
#include "strait/pipeline/network.hpp"

#include <memory>
#include <vector>

namespace strait::pipeline {

template <class T>
class Pipeline {
 public:
  /// This rank of a pipeline of setup.ranks() ranks, which `communicator` must have, on the links that
  /// `network` says. Collective.
  Pipeline(const ExecutionSpace& exec, const PipelineSetup& setup, const codec::Codec<T>& codec,
           MPI_Comm communicator, WaitHook hook = {}, const NetworkConfig& network = {});

  /// All ranks, in this process, through the loopback transport.
  Pipeline(const ExecutionSpace& exec, const PipelineSetup& setup, const codec::Codec<T>& codec);

  // These are collective: all ranks call them alike, and get the same results bit for bit.
  /// One step. The results that have become known since the last call: in synchronous schedules of this step.
  std::vector<StepResult> train(const StepInfo& info, const BatchSource& source);
  /// Waits for the results of all steps so far, and until no message is on its way; returns those results
  /// that train did not. Training goes on as if it had not been called.
  std::vector<StepResult> settle();
  /// Both: one step and its result.
  StepResult step(const StepInfo& info, const BatchSource& source);
  /// Mean cross-entropy in nats over micro-batches 0 .. micro_batches - 1 of `source`.
  double evaluate(int micro_batches, const BatchSource& source, Crossing crossing = Crossing::encoded);
  /// The token that `choose` takes after `position` of the first sequence of micro-batch 0 of `source`.
  std::int32_t next_token(const BatchSource& source, std::int64_t position, const ChooseToken& choose);

  /// Begins a list on every executor with `begin(executor)` and runs it to its end.
  template <class Begin>
  void run(Begin begin) {
    for (auto& executor : executors_) begin(*executor);
    run_to_end();
  }

  /// The ranks in this process: one over MPI.
  std::vector<std::unique_ptr<Executor<T>>>& executors() { return executors_; }
  /// Any of them: results are the same on all.
  Executor<T>& front() { return *executors_.front(); }

 private:
  void run_to_end();
  std::vector<StepResult> take_results();

  std::vector<std::unique_ptr<Transport>> transports_;
  std::vector<std::unique_ptr<Executor<T>>> executors_;
};

extern template class Pipeline<float>;
extern template class Pipeline<double>;

}  // namespace strait::pipeline
