#pragma once
// metrics.h5: what a run measured, step by step, readable while the run goes on (SWMR mode). Index i of every
// /train dataset is step i. Written by one process. Every failure is an Error(ExitCode::io) of one line.

#include "strait/io/hdf5.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace strait::app {

/// Root attributes: deck, git_hash, ... (format and format_version are added).
using MetricsAttributes =
    std::vector<std::pair<std::string, std::variant<std::int64_t, double, std::string>>>;

/// A column that a codec wants beside the common ones.
struct MetricsColumn {
  std::string name;
  std::string units;  ///< "1" for a number
  std::string long_name;
};

struct BoundaryLayout {
  int after_layer = 0;                     ///< the layer that the boundary follows, from 0
  std::vector<MetricsColumn> diagnostics;  ///< /boundary/<p>/diagnostics/<name>
};

/// What the file has room for: SWMR lets nothing be added later.
struct MetricsLayout {
  int stages = 1;
  std::vector<BoundaryLayout> boundaries;
};

/// What crossed a boundary in a step, in bytes.
struct BoundaryRecord {
  std::int64_t bytes_forward = 0;
  std::int64_t bytes_backward = 0;
  std::int64_t bytes_sync = 0;
};

struct StageRecord {
  double seconds_compute = 0.0;
  double seconds_wait = 0.0;
  double gradient_norm = 0.0;
  std::int64_t memory_bytes = 0;    ///< of the stage's own tensors and message buffers
  std::int64_t resident_bytes = 0;  ///< largest resident set of its process so far
  std::int64_t bytes_replicas = 0;  ///< sent between its replicas
};

struct StepRecord {
  std::int64_t step = 0;    ///< from 0
  std::int64_t tokens = 0;  ///< seen so far, this step included
  double loss = 0.0;        ///< nats per token, before the update
  double learning_rate = 0.0;
  double gradient_norm = 0.0;
  double seconds = 0.0;
  double tokens_per_second = 0.0;
  std::vector<BoundaryRecord> boundaries;  ///< as many as the layout has
  std::vector<StageRecord> stages;
};

/// One action of a traced step, in seconds since the step began.
struct TraceRecord {
  int stage = 0;
  std::string action;
  std::int64_t micro_batch = 0;
  double start = 0.0;
  double end = 0.0;
  double waited = 0.0;  ///< part of start to end
  int rank = 0;         ///< of the pipeline; of a stage without replicas its number
};

class MetricsFile {
 public:
  /// A new file at `path`. An older one there is replaced when the new one is ready.
  static MetricsFile create(const std::string& path, const MetricsAttributes& attributes,
                            const MetricsLayout& layout);

  /// Goes on at `path` from `copy`, which a checkpoint of `step` holds and which must have that many steps.
  /// `path` is replaced when the new file is ready. Attributes become those of this run; the layout may
  /// differ: groups of stages that are no more stay as they are.
  static MetricsFile resume(const std::string& copy, const std::string& path, std::int64_t step,
                            const MetricsAttributes& attributes, const MetricsLayout& layout);

  MetricsFile(MetricsFile&&) noexcept;
  /// Closes without a report if nobody did; rows that are not yet flushed are lost.
  ~MetricsFile();

  /// Steps in the file; the next record's step.
  std::int64_t steps() const;

  /// Rows are kept back until a flush.
  void append_step(const StepRecord& record);
  /// The losses through the codec and past it.
  void append_validation(std::int64_t step, double loss, double loss_without_codec);
  /// One row of the diagnostics of boundary `p`, one value for each column of the layout.
  void append_diagnostics(int boundary, std::int64_t step, const std::vector<double>& values);

  /// Replaces the trace.
  void write_trace(const std::vector<TraceRecord>& records);

  /// Lets readers see everything.
  void flush();
  /// The same, unless it was done within the last second.
  void flush_when_due();

  /// Writes a closed copy for a checkpoint.
  void copy_closed_to(const std::string& path);

  /// Flushes and closes; throws if anything did not reach the file.
  void close();

 private:
  struct Implementation;
  explicit MetricsFile(std::unique_ptr<Implementation> implementation);

  std::unique_ptr<Implementation> implementation_;
};

}  // namespace strait::app
