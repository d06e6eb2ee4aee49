#pragma once
// Collects what every rank did in each step on rank 0, a batch of steps at a time, for metrics.h5 and the
// report.

#include "strait/app/metrics.hpp"
#include "strait/pipeline/pipeline.hpp"

#include <mpi.h>

#include <vector>

namespace strait::app {

/// Sums over the run of one rank of the pipeline.
struct RankTotals {
  double seconds = 0.0;  ///< in steps, on the rank's own clock
  double compute = 0.0;  ///< seconds of these
  double communication = 0.0;
  double wait = 0.0;
  double input = 0.0;
  double resident = 0.0;  ///< bytes, the largest resident set
};

/// Sums over the run of one boundary, in bytes.
struct BoundaryTotals {
  double forward = 0.0;
  double backward = 0.0;
  double sync = 0.0;
};

class StepLog {
 public:
  /// `ranks` of the pipeline, which are this process's alone where it is emulated.
  StepLog(MPI_Comm communicator, const pipeline::Placement& placement, int boundaries);

  /// What the executors of this process did in a step; `step` is filled but for what comes from other ranks
  /// and what its result says.
  template <class T>
  void add(StepRecord step, pipeline::Pipeline<T>& pipeline);

  /// The result of the oldest added step that has none.
  void complete(const pipeline::StepResult& result);

  /// Steps that have got their results since the last call, in order, complete on rank 0 and empty elsewhere.
  /// Collective.
  std::vector<StepRecord> gather();

  const std::vector<RankTotals>& ranks() const { return rank_totals_; }               ///< on rank 0
  const std::vector<BoundaryTotals>& boundaries() const { return boundary_totals_; }  ///< on rank 0

 private:
  std::size_t row_length() const;
  void absorb(StepRecord& step, int rank, const double* row);

  MPI_Comm communicator_;
  pipeline::Placement placement_;
  int ranks_;
  int boundaries_;
  std::vector<StepRecord> steps_;
  std::vector<double> rows_;    ///< [steps, executors of this process, row_length()]
  std::vector<int> executors_;  ///< ranks of the pipeline in this process
  std::size_t completed_ = 0;   ///< of `steps_`
  std::vector<RankTotals> rank_totals_;
  std::vector<BoundaryTotals> boundary_totals_;
};

/// The actions of the last traced step of all ranks, on rank 0; each rank's clock starts with its step.
/// Collective.
template <class T>
std::vector<TraceRecord> gather_trace(MPI_Comm communicator, pipeline::Pipeline<T>& pipeline);

}  // namespace strait::app
