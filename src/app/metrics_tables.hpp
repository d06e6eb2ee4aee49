#pragma once
// The columns of metrics.h5: names, types, units, and the rows that wait to be written.

#include "strait/app/metrics.hpp"

#include <optional>

namespace strait::app {

/// An extendible dataset and the rows that are not yet in it.
template <class T>
struct Column {
  std::optional<io::Dataset> dataset;
  std::vector<T> pending;

  void flush() {
    if (pending.empty()) return;
    dataset->append(pending.data(), std::ssize(pending));
    dataset->flush();
    pending.clear();
  }
};

// Every table calls `visit(column, name, units, long_name)` for each of its columns. `step` comes last, so
// that a reader who cuts the others to its length never meets half a row.

struct TrainTable {
  Column<std::int64_t> step, tokens;
  Column<double> loss, learning_rate, gradient_norm, seconds, tokens_per_second;

  template <class Visit>
  void each(const Visit& visit) {
    visit(tokens, "tokens", "1", "tokens seen up to and including this step");
    visit(loss, "loss", "nats per token", "mean cross-entropy of the step's batch before its update");
    visit(learning_rate, "learning_rate", "1", "learning rate of the step");
    visit(gradient_norm, "gradient_norm", "1", "Euclidean norm of the gradient before clipping");
    visit(seconds, "seconds", "s", "wall time of the step without validation and checkpoints");
    visit(tokens_per_second, "tokens_per_second", "1/s", "tokens of the step over its wall time");
    visit(step, "step", "1", "optimiser updates before this one");
  }
};

struct ValidationTable {
  Column<std::int64_t> step;
  Column<double> loss, loss_without_codec;

  template <class Visit>
  void each(const Visit& visit) {
    visit(loss, "loss", "nats per token", "mean cross-entropy of the validation set");
    visit(loss_without_codec, "loss_without_codec", "nats per token",
          "the same with every activation sent exactly; where nothing is lost it is the loss");
    visit(step, "step", "1", "optimiser updates before the validation");
  }
};

struct BoundaryTable {
  Column<std::int64_t> step, bytes_forward, bytes_backward, bytes_sync;

  template <class Visit>
  void each(const Visit& visit) {
    visit(bytes_forward, "bytes_forward", "byte", "activations and ids sent forward in the step");
    visit(bytes_backward, "bytes_backward", "byte", "gradients sent back in the step");
    visit(bytes_sync, "bytes_sync", "byte", "what keeps both ends equal, sent in the step");
    visit(step, "step", "1", "optimiser updates before this one");
  }
};

struct DiagnosticsTable {
  Column<std::int64_t> step;
  std::vector<MetricsColumn> descriptions;
  std::vector<Column<double>> values;

  template <class Visit>
  void each(const Visit& visit) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      visit(values[i], descriptions[i].name, descriptions[i].units, descriptions[i].long_name);
    }
    if (!values.empty()) visit(step, "step", "1", "optimiser updates before this one");
  }
};

struct StageTable {
  Column<std::int64_t> step, memory_bytes, resident_bytes, bytes_replicas;
  Column<double> seconds_compute, seconds_wait, gradient_norm;

  template <class Visit>
  void each(const Visit& visit) {
    visit(seconds_compute, "seconds_compute", "s", "time in kernels in the step");
    visit(seconds_wait, "seconds_wait", "s", "time waiting for other ranks in the step");
    visit(gradient_norm, "gradient_norm", "1", "Euclidean norm of the stage's gradient before clipping");
    visit(memory_bytes, "memory_bytes", "byte",
          "weights, gradients, activations, state of optimiser and codec, message buffers");
    visit(resident_bytes, "resident_bytes", "byte", "largest resident set of the rank's process so far");
    visit(bytes_replicas, "bytes_replicas", "byte",
          "what the stage's replicas sent each other in the step to add up their gradients");
    visit(step, "step", "1", "optimiser updates before this one");
  }
};

/// All tables of a file.
struct MetricsTables {
  explicit MetricsTables(const MetricsLayout& layout)
      : boundaries(layout.boundaries.size()),
        diagnostics(layout.boundaries.size()),
        stages(static_cast<std::size_t>(layout.stages)) {
    for (std::size_t p = 0; p < diagnostics.size(); ++p) {
      diagnostics[p].descriptions = layout.boundaries[p].diagnostics;
      diagnostics[p].values.resize(layout.boundaries[p].diagnostics.size());
    }
  }

  TrainTable train;
  ValidationTable validation;
  std::vector<BoundaryTable> boundaries;
  std::vector<DiagnosticsTable> diagnostics;
  std::vector<StageTable> stages;

  /// As the tables' own `each`, with the path in the file for a name.
  template <class Visit>
  void each(const Visit& visit) {
    const auto in = [&](const std::string& group) {
      return [&visit, group](auto& column, const std::string& name, const std::string& units,
                             const std::string& long_name) {
        visit(column, group + "/" + name, units, long_name);
      };
    };
    for (std::size_t p = 0; p < boundaries.size(); ++p) {
      boundaries[p].each(in("boundary/" + std::to_string(p)));
      diagnostics[p].each(in("boundary/" + std::to_string(p) + "/diagnostics"));
    }
    for (std::size_t s = 0; s < stages.size(); ++s) stages[s].each(in("stage/" + std::to_string(s)));
    validation.each(in("validation"));
    train.each(in("train"));
  }
};

}  // namespace strait::app
