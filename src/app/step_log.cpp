#include "strait/app/step_log.hpp"

#include "strait/app/memory.hpp"
#include "strait/core/communicator.hpp"

#include <algorithm>
#include <numeric>

namespace strait::app {

namespace {

// A row: what one rank of the pipeline did in one step.
enum Column {
  seconds,
  compute,
  communication,
  wait,
  input,
  memory,
  resident,
  gradient_norm,
  replicas,
  first_boundary
};
constexpr std::size_t per_boundary = 3;

/// The rows of all processes one after the other, on rank 0.
std::vector<double> gather_rows(MPI_Comm communicator, const std::vector<double>& mine) {
  const int size = size_of(communicator);
  const int count = static_cast<int>(mine.size());
  std::vector<int> counts(size), starts(size);
  MPI_Gather(&count, 1, MPI_INT, counts.data(), 1, MPI_INT, 0, communicator);
  std::exclusive_scan(counts.begin(), counts.end(), starts.begin(), 0);
  std::vector<double> all(rank_of(communicator) == 0 ? starts.back() + counts.back() : 0);
  MPI_Gatherv(mine.data(), count, MPI_DOUBLE, all.data(), counts.data(), starts.data(), MPI_DOUBLE, 0,
              communicator);
  return all;
}

}  // namespace

StepLog::StepLog(MPI_Comm communicator, const pipeline::Placement& placement, int boundaries)
    : communicator_(communicator),
      placement_(placement),
      ranks_(placement.ranks()),
      boundaries_(boundaries),
      rank_totals_(ranks_),
      boundary_totals_(boundaries) {}

std::size_t StepLog::row_length() const { return first_boundary + per_boundary * boundaries_; }

template <class T>
void StepLog::add(StepRecord step, pipeline::Pipeline<T>& pipeline) {
  executors_.clear();
  step.boundaries.resize(boundaries_);
  step.stages.resize(placement_.stages);
  const double step_seconds = step.seconds;
  steps_.push_back(std::move(step));
  for (auto& executor : pipeline.executors()) {
    const pipeline::Statistics statistics = executor->take_statistics();
    std::vector<double> row(row_length());
    row[seconds] = step_seconds;
    row[compute] = statistics.seconds_compute;
    row[communication] = statistics.seconds_communication;
    row[wait] = statistics.seconds_wait;
    row[input] = statistics.seconds_input;
    row[memory] = static_cast<double>(executor->memory_bytes());
    row[resident] = static_cast<double>(peak_resident_bytes());
    row[replicas] = static_cast<double>(statistics.sent.replicas);
    executors_.push_back(executor->transport().rank());
    for (int p = 0; p < boundaries_; ++p) {
      const auto& sent = statistics.sent.boundaries[p];
      double* bytes = row.data() + first_boundary + per_boundary * p;
      bytes[0] = static_cast<double>(sent.forward);
      bytes[1] = static_cast<double>(sent.backward);
      bytes[2] = static_cast<double>(sent.sync);
    }
    rows_.insert(rows_.end(), row.begin(), row.end());
  }
}

void StepLog::complete(const pipeline::StepResult& result) {
  StepRecord& step = steps_.at(completed_);
  ensure(step.step == result.step, "results come in the order of the steps");
  step.loss = result.loss;
  step.gradient_norm = result.gradient_norm;
  double* row = rows_.data() + completed_ * executors_.size() * row_length();
  for (const int rank : executors_) {
    row[gradient_norm] = result.rank_gradient_norms[rank];
    row += row_length();
  }
  ++completed_;
}

std::vector<StepRecord> StepLog::gather() {
  const auto last_row = rows_.begin() + completed_ * executors_.size() * row_length();
  const auto last_step = steps_.begin() + completed_;
  const std::vector<double> all = gather_rows(communicator_, std::vector<double>(rows_.begin(), last_row));
  std::vector<StepRecord> steps(steps_.begin(), last_step);
  rows_.erase(rows_.begin(), last_row);
  steps_.erase(steps_.begin(), last_step);
  completed_ = 0;
  if (rank_of(communicator_) != 0) return {};

  const int processes = size_of(communicator_);
  const int here = ranks_ / processes;  // ranks of the pipeline in one process
  const double* row = all.data();
  for (int process = 0; process < processes; ++process) {
    for (StepRecord& step : steps) {
      for (int i = 0; i < here; ++i, row += row_length()) absorb(step, process * here + i, row);
    }
  }
  return steps;
}

void StepLog::absorb(StepRecord& step, int rank, const double* row) {
  // Times of a stage are the mean of its replicas, memory is the most of one, bytes are of all.
  const int of_stage = placement_.stage_of(rank);
  const double share = 1.0 / placement_.replicas_of(of_stage);
  StageRecord& stage = step.stages[of_stage];
  stage.seconds_compute += share * row[compute];
  stage.seconds_wait += share * row[wait];
  stage.gradient_norm = row[gradient_norm];
  stage.memory_bytes = std::max(stage.memory_bytes, static_cast<std::int64_t>(row[memory]));
  stage.resident_bytes = std::max(stage.resident_bytes, static_cast<std::int64_t>(row[resident]));
  stage.bytes_replicas += static_cast<std::int64_t>(row[replicas]);
  RankTotals& totals = rank_totals_[rank];
  totals.seconds += row[seconds];
  totals.compute += row[compute];
  totals.communication += row[communication];
  totals.wait += row[wait];
  totals.input += row[input];
  totals.resident = std::max(totals.resident, row[resident]);
  for (int p = 0; p < boundaries_; ++p) {
    const double* bytes = row + first_boundary + per_boundary * p;
    step.boundaries[p].bytes_forward += static_cast<std::int64_t>(bytes[0]);
    step.boundaries[p].bytes_backward += static_cast<std::int64_t>(bytes[1]);
    step.boundaries[p].bytes_sync += static_cast<std::int64_t>(bytes[2]);
    boundary_totals_[p].forward += bytes[0];
    boundary_totals_[p].backward += bytes[1];
    boundary_totals_[p].sync += bytes[2];
  }
}

template <class T>
std::vector<TraceRecord> gather_trace(MPI_Comm communicator, pipeline::Pipeline<T>& pipeline) {
  constexpr std::size_t length = 7;
  std::vector<double> mine;
  for (auto& executor : pipeline.executors()) {
    const auto& trace = executor->trace();
    for (const auto& entry : trace) {
      const int stage = executor->units()[entry.action.chunk].index();
      mine.insert(mine.end(), {static_cast<double>(stage), static_cast<double>(entry.action.kind),
                               static_cast<double>(entry.action.micro_batch),
                               entry.start - trace.front().start, entry.end - trace.front().start,
                               entry.waited, static_cast<double>(executor->transport().rank())});
    }
  }
  const std::vector<double> all = gather_rows(communicator, mine);
  std::vector<TraceRecord> records;
  for (std::size_t i = 0; i < all.size(); i += length) {
    records.push_back(
        {.stage = static_cast<int>(all[i]),
         .action = std::string(name(static_cast<pipeline::ActionKind>(static_cast<int>(all[i + 1])))),
         .micro_batch = static_cast<std::int64_t>(all[i + 2]),
         .start = all[i + 3],
         .end = all[i + 4],
         .waited = all[i + 5],
         .rank = static_cast<int>(all[i + 6])});
  }
  return records;
}

template void StepLog::add<float>(StepRecord, pipeline::Pipeline<float>&);
template void StepLog::add<double>(StepRecord, pipeline::Pipeline<double>&);
template std::vector<TraceRecord> gather_trace<float>(MPI_Comm, pipeline::Pipeline<float>&);
template std::vector<TraceRecord> gather_trace<double>(MPI_Comm, pipeline::Pipeline<double>&);

}  // namespace strait::app
