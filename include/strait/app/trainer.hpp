#pragma once
// The run loop: steps, validation, checkpoints, and an orderly end.

#include "strait/app/batch_feed.hpp"
#include "strait/app/checkpoint.hpp"
#include "strait/app/command_line.hpp"
#include "strait/app/metrics.hpp"
#include "strait/app/settings.hpp"
#include "strait/app/step_log.hpp"
#include "strait/pipeline/pipeline.hpp"

#include <mpi.h>

#include <memory>
#include <optional>

namespace strait::app {

template <class T>
class Trainer {
 public:
  /// Collective over `communicator`, as is everything here. Errors are agreed on. `setup` is that of
  /// `settings`.
  Trainer(const ExecutionSpace& exec, MPI_Comm communicator, const CommandLine& line, const Deck& deck,
          const Settings& settings, const pipeline::PipelineSetup& setup, const codec::Codec<T>& codec);

  /// Trains to the last step, or to a stop that was asked for.
  ExitCode run();

 private:
  enum Vote : int { proceed = 0, stop = 1, failed = 2 };

  void restart(const std::string& from);
  void open_metrics();
  void train_step();
  void heed(const std::vector<pipeline::StepResult>& results);
  void stop_at(const pipeline::StepResult& result, bool data_is_bad);
  void validate();
  void agree_on_replicas();
  void write_checkpoint();
  void write_metrics();
  void write_known_metrics();
  void write_diagnostics();
  void print_report();

  std::string restart_text() const;
  double seconds_left() const;
  bool is_root() const { return rank_ == 0; }
  bool complete() const { return step_ >= settings_.run.steps; }
  bool due(std::int64_t interval) const { return interval > 0 && step_ % interval == 0; }
  std::string metrics_path() const { return settings_.output.directory + "/metrics.h5"; }

  ExecutionSpace exec_;
  MPI_Comm communicator_;
  int rank_ = 0;
  const CommandLine& line_;
  const Deck& deck_;
  const Settings& settings_;
  const pipeline::PipelineSetup& setup_;
  const codec::Codec<T>& codec_;
  Stopwatch since_start_;

  CheckpointStore store_;  ///< used by rank 0
  std::optional<BatchFeed> feed_;
  std::optional<pipeline::Pipeline<T>> pipeline_;
  std::optional<MetricsFile> metrics_;  ///< on rank 0
  StepLog log_;

  std::int64_t step_ = 0;  ///< updates done
  std::int64_t tokens_ = 0;
  std::int64_t first_step_ = 0;                          ///< of this process
  std::optional<std::int64_t> checkpointed_;             ///< step of the last checkpoint
  std::optional<std::filesystem::path> restarted_from_;  ///< on rank 0
  bool stopping_ = false;
  bool traced_ = false;  ///< a step since the metrics were written last
  double seconds_training_ = 0.0;
  double seconds_files_ = 0.0;
  double seconds_validation_ = 0.0;
};

extern template class Trainer<float>;
extern template class Trainer<double>;

}  // namespace strait::app
