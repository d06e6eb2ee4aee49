#include "strait/app/metrics.hpp"

#include "strait/io/copy_file.hpp"

#include "file_sync.hpp"
#include "metrics_tables.hpp"

#include <chrono>

namespace strait::app {

namespace {

constexpr const char* format_name = "strait-metrics";
constexpr std::int64_t format_version = 1;
constexpr std::int64_t chunk_rows = 512;  // 4 KiB: small files for short runs, few chunks for long ones
constexpr int action_width = 24;
constexpr std::chrono::seconds flush_interval{1};

template <class T>
constexpr io::ElementType column_type(const Column<T>&) {
  return io::element_type<T>();
}

struct TraceDatasets {
  explicit TraceDatasets(const io::Group& root)
      : rank(root.dataset("trace/rank")),
        stage(root.dataset("trace/stage")),
        action(root.dataset("trace/action")),
        micro_batch(root.dataset("trace/micro_batch")),
        start(root.dataset("trace/start")),
        end(root.dataset("trace/end")),
        waited(root.dataset("trace/waited")) {}

  static void create(io::Group group) {
    using enum io::ElementType;
    group.create_extendible("stage", int32, chunk_rows).describe("1", "virtual stage that acted");
    group.create_extendible_text("action", chunk_rows, action_width).describe("1", "what it did");
    group.create_extendible("micro_batch", int64, chunk_rows).describe("1", "micro-batch of the action");
    group.create_extendible("start", float64, chunk_rows).describe("s", "since the step began");
    group.create_extendible("end", float64, chunk_rows).describe("s", "since the step began");
    group.create_extendible("waited", float64, chunk_rows)
        .describe("s", "of start to end, for a message, a free buffer or other ranks");
  }

  template <class T>
  static void replace(io::Dataset& dataset, const std::vector<T>& values) {
    dataset.resize(std::ssize(values));
    if constexpr (std::is_same_v<T, std::string>) {
      dataset.write_text(values);
    } else {
      dataset.write(values.data());
    }
    dataset.flush();
  }

  io::Dataset rank, stage, action, micro_batch, start, end, waited;
};

/// Adds what the layout asks for and the file lacks; SWMR allows it only before the writing begins.
void complete(io::File& file, const MetricsAttributes& attributes, const MetricsLayout& layout) {
  auto root = file.root();
  root.set_attribute("format", format_name);
  root.set_attribute("format_version", format_version);
  for (const auto& [name, value] : attributes) {
    std::visit([&, &key = name](const auto& v) { root.set_attribute(key, v); }, value);
  }
  MetricsTables(layout).each(
      [&](auto& column, const std::string& path, const std::string& units, const std::string& long_name) {
        if (root.has(path)) return;
        root.create_extendible(path, column_type(column), chunk_rows).describe(units, long_name);
      });
  for (std::size_t p = 0; p < layout.boundaries.size(); ++p) {
    root.group("boundary/" + std::to_string(p))
        .set_attribute("after_layer", layout.boundaries[p].after_layer);
  }
  if (!root.has("trace")) TraceDatasets::create(root.create_group("trace"));
  if (!root.has("trace/rank")) {  // a file of before there were replicas
    root.group("trace")
        .create_extendible("rank", io::ElementType::int32, chunk_rows)
        .describe("1", "rank that acted");
  }
}

/// Refuses a file that is not the copy of `step` steps.
void check_copy(const io::File& file, const std::string& copy, std::int64_t step) {
  const auto root = file.root();
  if (!root.has_attribute("format") || root.attribute<std::string>("format") != format_name ||
      root.attribute<std::int64_t>("format_version") != format_version) {
    fail(ExitCode::io, "{}: is not a {} file of version {}", copy, format_name, format_version);
  }
  const auto steps = root.dataset("train/step").shape().at(0);
  if (steps != step) fail(ExitCode::io, "{}: holds {} steps, expected {}", copy, steps, step);
}

std::string partial_path(const std::string& path) { return path + ".partial"; }

/// Opens the finished file under its name, as readers find it.
io::File publish(io::File file, const std::string& path) {
  file.close();
  rename_path(partial_path(path), path);
  return io::File::open_writable(path);
}

}  // namespace

struct MetricsFile::Implementation {
  Implementation(io::File opened, const MetricsLayout& layout)
      : file(std::move(opened)), tables(layout), trace(file.root()) {
    const auto root = file.root();
    tables.each([&](auto& column, const std::string& path, const std::string&, const std::string&) {
      column.dataset = root.dataset(path);
    });
    steps = tables.train.step.dataset->shape().at(0);
    file.start_swmr_write();
  }

  void flush() {
    tables.each([](auto& column, const auto&...) { column.flush(); });
    flushed = std::chrono::steady_clock::now();
  }

  io::File file;
  MetricsTables tables;
  TraceDatasets trace;
  std::int64_t steps = 0;
  std::chrono::steady_clock::time_point flushed{};  // the first rows are due at once
};

MetricsFile::MetricsFile(std::unique_ptr<Implementation> implementation)
    : implementation_(std::move(implementation)) {}
MetricsFile::MetricsFile(MetricsFile&&) noexcept = default;
MetricsFile::~MetricsFile() = default;

MetricsFile MetricsFile::create(const std::string& path, const MetricsAttributes& attributes,
                                const MetricsLayout& layout) {
  auto file = io::File::create(partial_path(path));
  complete(file, attributes, layout);
  return MetricsFile(std::make_unique<Implementation>(publish(std::move(file), path), layout));
}

MetricsFile MetricsFile::resume(const std::string& copy, const std::string& path, std::int64_t step,
                                const MetricsAttributes& attributes, const MetricsLayout& layout) {
  io::copy_file(copy, partial_path(path));
  auto file = io::File::open_writable(partial_path(path));
  check_copy(file, copy, step);
  complete(file, attributes, layout);
  return MetricsFile(std::make_unique<Implementation>(publish(std::move(file), path), layout));
}

std::int64_t MetricsFile::steps() const { return implementation_->steps; }

void MetricsFile::append_step(const StepRecord& record) {
  auto& tables = implementation_->tables;
  ensure(record.step == implementation_->steps, "steps are appended in order");
  ensure(record.boundaries.size() == tables.boundaries.size() && record.stages.size() == tables.stages.size(),
         "a step has a record for each boundary and stage of the layout");
  auto& train = tables.train;
  train.step.pending.push_back(record.step);
  train.tokens.pending.push_back(record.tokens);
  train.loss.pending.push_back(record.loss);
  train.learning_rate.pending.push_back(record.learning_rate);
  train.gradient_norm.pending.push_back(record.gradient_norm);
  train.seconds.pending.push_back(record.seconds);
  train.tokens_per_second.pending.push_back(record.tokens_per_second);
  for (std::size_t p = 0; p < record.boundaries.size(); ++p) {
    auto& table = tables.boundaries[p];
    table.step.pending.push_back(record.step);
    table.bytes_forward.pending.push_back(record.boundaries[p].bytes_forward);
    table.bytes_backward.pending.push_back(record.boundaries[p].bytes_backward);
    table.bytes_sync.pending.push_back(record.boundaries[p].bytes_sync);
  }
  for (std::size_t s = 0; s < record.stages.size(); ++s) {
    auto& table = tables.stages[s];
    table.step.pending.push_back(record.step);
    table.seconds_compute.pending.push_back(record.stages[s].seconds_compute);
    table.seconds_wait.pending.push_back(record.stages[s].seconds_wait);
    table.gradient_norm.pending.push_back(record.stages[s].gradient_norm);
    table.memory_bytes.pending.push_back(record.stages[s].memory_bytes);
    table.resident_bytes.pending.push_back(record.stages[s].resident_bytes);
    table.bytes_replicas.pending.push_back(record.stages[s].bytes_replicas);
  }
  ++implementation_->steps;
}

void MetricsFile::append_validation(std::int64_t step, double loss, double loss_without_codec) {
  auto& validation = implementation_->tables.validation;
  validation.step.pending.push_back(step);
  validation.loss.pending.push_back(loss);
  validation.loss_without_codec.pending.push_back(loss_without_codec);
}

void MetricsFile::append_diagnostics(int boundary, std::int64_t step, const std::vector<double>& values) {
  auto& table = implementation_->tables.diagnostics.at(static_cast<std::size_t>(boundary));
  ensure(values.size() == table.values.size(), "one value for each diagnostic of the layout");
  table.step.pending.push_back(step);
  for (std::size_t i = 0; i < values.size(); ++i) table.values[i].pending.push_back(values[i]);
}

void MetricsFile::write_trace(const std::vector<TraceRecord>& records) {
  std::vector<std::int32_t> ranks, stages;
  std::vector<std::string> actions;
  std::vector<std::int64_t> micro_batches;
  std::vector<double> starts, ends, waits;
  for (const auto& record : records) {
    ranks.push_back(record.rank);
    stages.push_back(record.stage);
    actions.push_back(record.action);
    micro_batches.push_back(record.micro_batch);
    starts.push_back(record.start);
    ends.push_back(record.end);
    waits.push_back(record.waited);
  }
  auto& trace = implementation_->trace;
  TraceDatasets::replace(trace.rank, ranks);
  TraceDatasets::replace(trace.stage, stages);
  TraceDatasets::replace(trace.action, actions);
  TraceDatasets::replace(trace.micro_batch, micro_batches);
  TraceDatasets::replace(trace.start, starts);
  TraceDatasets::replace(trace.end, ends);
  TraceDatasets::replace(trace.waited, waits);
}

void MetricsFile::flush() { implementation_->flush(); }

void MetricsFile::flush_when_due() {
  if (std::chrono::steady_clock::now() - implementation_->flushed >= flush_interval) flush();
}

void MetricsFile::copy_closed_to(const std::string& path) {
  implementation_->flush();
  implementation_->file.copy_closed_to(path);
}

void MetricsFile::close() {
  implementation_->flush();
  implementation_->file.close();
}

}  // namespace strait::app
