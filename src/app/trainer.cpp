#include "strait/app/trainer.hpp"

#include "strait/app/agreement.hpp"
#include "strait/app/console.hpp"
#include "strait/app/diagnostics.hpp"
#include "strait/app/model_file.hpp"
#include "strait/app/output_folder.hpp"
#include "strait/app/replica_check.hpp"
#include "strait/app/report.hpp"
#include "strait/app/restart.hpp"
#include "strait/app/signals.hpp"
#include "strait/app/text_sample.hpp"
#include "strait/app/trace_file.hpp"
#include "strait/core/communicator.hpp"
#include "strait/core/version.hpp"

#include "watchdog.hpp"

#include <algorithm>
#include <cmath>

namespace strait::app {

template <class T>
Trainer<T>::Trainer(const ExecutionSpace& exec, MPI_Comm communicator, const CommandLine& line,
                    const Deck& deck, const Settings& settings, const pipeline::PipelineSetup& setup,
                    const codec::Codec<T>& codec)
    : exec_(exec),
      communicator_(communicator),
      rank_(rank_of(communicator)),
      line_(line),
      deck_(deck),
      settings_(settings),
      setup_(setup),
      codec_(codec),
      store_(settings.output.directory + "/checkpoints", settings.checkpoint.keep),
      log_(communicator, settings.pipeline.placement(), settings.pipeline.virtual_stages() - 1) {
  agree(communicator_, [&] { feed_.emplace(settings_); });
  open_output(communicator_, settings_.output.directory, store_, line_.restart);
  agree(communicator_, [&] {  // transports meet before anything can fail on one rank alone
    if (settings_.pipeline.emulated) {
      pipeline_.emplace(exec_, setup_, codec);
    } else {
      pipeline_.emplace(exec_, setup_, codec, communicator_, Watchdog(rank_), settings_.network);
    }
  });
  if (line_.restart) restart(*line_.restart);
  open_metrics();
  if (is_root()) print_header(settings_.run.name, restart_text(), pipeline_->front().transport().path());
}

template <class T>
void Trainer<T>::restart(const std::string& from) {
  const auto path = choose_checkpoint(communicator_, store_, from);
  if (!path) return;
  std::vector<std::string> notes;
  agree(communicator_, [&] {
    const RunState state = load_model<T>(exec_, *path / "model.h5", pipeline_->executors(), notes);
    step_ = first_step_ = state.step;
    tokens_ = state.tokens;
    if (!pipeline::synchronous(settings_.pipeline.schedule)) {
      const bool resumed = load_in_flight<T>(*path / "model.h5", pipeline_->executors(), step_,
                                             same_micro_batches(deck_, state.deck));
      if (!resumed && is_root()) {
        notes.push_back(
            fmt::format("the pipeline begins empty at step {}: the checkpoint holds no micro-batches "
                        "in flight of this pipeline and data",
                        step_));
      }
    }
    if (!is_root()) return;
    for (auto& line : changed_keys(deck_, state.deck)) notes.push_back(std::move(line));
  });
  for (const auto& note : notes) fmt::print("{}\n", note);
  checkpointed_ = step_;
  if (is_root()) restarted_from_ = path;
}

template <class T>
void Trainer<T>::open_metrics() {
  agree(communicator_, [&] {
    if (!is_root()) return;
    MetricsLayout layout;
    layout.stages = settings_.pipeline.stages;
    for (const auto& span : setup_.spans) {
      if (!span.has_head)
        layout.boundaries.push_back(
            {.after_layer = span.last_layer - 1, .diagnostics = diagnostics_columns(codec_)});
    }
    const MetricsAttributes attributes = {{"deck", deck_.effective()},
                                          {"deck_as_given", deck_.as_given()},
                                          {"git_hash", git_hash()},
                                          {"kokkos", kokkos_summary()},
                                          {"mpi", mpi_summary()},
                                          {"messages", pipeline_->front().transport().path()},
                                          {"ranks", std::int64_t{settings_.pipeline.ranks()}},
                                          {"command_line", line_.text}};
    metrics_.emplace(restarted_from_ ? MetricsFile::resume(*restarted_from_ / "metrics.h5", metrics_path(),
                                                           step_, attributes, layout)
                                     : MetricsFile::create(metrics_path(), attributes, layout));
  });
}

template <class T>
ExitCode Trainer<T>::run() {
  if (!checkpointed_ && settings_.checkpoint.interval > 0) write_checkpoint();
  while (!complete() && !stopping_) {
    train_step();
    if (due(codec_.diagnostics_interval())) write_diagnostics();
    const bool last = stopping_ || complete();
    if (last || due(settings_.output.log_interval)) write_metrics();
    if (settings_.training.validation_interval > 0 &&
        (due(settings_.training.validation_interval) || complete())) {
      validate();
    }
    if (due(settings_.checkpoint.interval)) write_checkpoint();
  }
  write_checkpoint();
  if (complete() && settings_.output.sample_tokens > 0) {
    const std::string text = sample_text(exec_, *pipeline_, settings_);
    if (is_root()) print_sample(text);
  }
  print_report();
  agree(communicator_, [&] {
    if (is_root()) metrics_->close();
  });
  return complete() ? ExitCode::done : ExitCode::stopped;
}

template <class T>
void Trainer<T>::print_report() {
  const double rate = settings_.training.bfloat16() ? matmul_rate<bfloat16>(exec_) : matmul_rate<T>(exec_);
  if (!is_root()) return;
  Report report;
  report.steps = step_ - first_step_;
  report.tokens = static_cast<double>(report.steps * settings_.tokens_per_step());
  report.seconds = since_start_.seconds();
  report.seconds_training = seconds_training_;
  report.seconds_validation = seconds_validation_;
  report.seconds_files = seconds_files_;
  report.flops_per_token = settings_.model.flops_per_token();
  report.matmul_rate = rate;
  report.processes = settings_.pipeline.ranks();
  fmt::print("{}", report_text(report, log_));
  fmt::print("{:<12} {}\n", "output", settings_.output.directory);
}

template <class T>
void Trainer<T>::train_step() {
  const Stopwatch watch;
  pipeline::StepInfo info;
  info.step = step_;
  info.learning_rate = settings_.optimizer.rate_at(step_, settings_.run.steps);
  info.learning_rate_fraction =
      settings_.optimizer.learning_rate > 0.0 ? info.learning_rate / settings_.optimizer.learning_rate : 0.0;
  info.rate_of_update = [this, step = step_](int update, int updates) {
    return settings_.optimizer.rate_at(step, settings_.run.steps, update, updates);
  };
  info.trace =
      (step_ - first_step_) % settings_.output.trace_interval == settings_.output.trace_interval - 1 ||
      step_ + 1 == settings_.run.steps;
  info.vote = [this]() -> int {
    if (feed_->error()) return failed;
    const bool late = settings_.run.time_limit > 0.0 && since_start_.seconds() > settings_.run.time_limit;
    return stop_signal() != 0 || late ? stop : proceed;
  };
  const auto results = pipeline_->train(info, feed_->training(exec_, step_));
  traced_ = traced_ || info.trace;

  ++step_;
  tokens_ += settings_.tokens_per_step();
  StepRecord record;
  record.step = info.step;
  record.tokens = tokens_;
  record.learning_rate = info.learning_rate;
  record.seconds = watch.seconds();
  record.tokens_per_second = static_cast<double>(settings_.tokens_per_step()) / record.seconds;
  seconds_training_ += record.seconds;
  log_.add(std::move(record), *pipeline_);
  heed(results);
}

/// What the ranks told each other of steps, at the end of each or, in asynchronous schedules, some steps
/// later.
template <class T>
void Trainer<T>::heed(const std::vector<pipeline::StepResult>& results) {
  for (const pipeline::StepResult& result : results) {
    const bool data_is_bad =
        std::find(result.votes.begin(), result.votes.end(), failed) != result.votes.end();
    if (data_is_bad || !result.finite) stop_at(result, data_is_bad);
    log_.complete(result);
    for (const int vote : result.votes) stopping_ = stopping_ || vote == stop;
  }
}

template <class T>
void Trainer<T>::stop_at(const pipeline::StepResult& result, bool data_is_bad) {
  pipeline_->settle();  // the steps since then are lost
  write_known_metrics();
  agree(communicator_, [&] {
    if (is_root()) metrics_->flush();
    if (feed_->error()) throw *feed_->error();
    if (data_is_bad) return;
    fail(ExitCode::numerical,
         "strait: step {}: the loss or a gradient is not finite (loss {:g}, gradient norm {:g}); {}",
         result.step, result.loss, result.gradient_norm,
         pipeline::synchronous(settings_.pipeline.schedule) ? "the weights are as before this step"
                                                            : "the last checkpoint is good");
  });
}

template <class T>
void Trainer<T>::validate() {
  const Stopwatch watch;
  const auto evaluate = [&](pipeline::Crossing crossing) {
    return pipeline_->evaluate(settings_.training.validation_micro_batches(), feed_->validation(exec_),
                               crossing);
  };
  const bool exact = codec_.is_exact() || settings_.pipeline.stages == 1;
  const double loss = evaluate(pipeline::Crossing::encoded);
  const double without_codec = exact ? loss : evaluate(pipeline::Crossing::exact);
  agree_on_replicas();
  agree(communicator_, [&] {
    if (feed_->error()) throw *feed_->error();
    if (is_root()) {
      metrics_->append_validation(step_, loss, without_codec);
      metrics_->flush_when_due();
    }
    if (!std::isfinite(loss)) {
      fail(ExitCode::numerical, "strait: the validation after {} steps is not finite (loss {:g})", step_,
           loss);
    }
  });
  for (auto& executor : pipeline_->executors()) executor->take_statistics();  // these are not of a step
  seconds_validation_ += watch.seconds();
  if (is_root()) print_validation(step_, loss, exact ? std::nullopt : std::optional(without_codec));
}

/// Their comparison is collective: it comes before anything can fail on one rank alone.
template <class T>
void Trainer<T>::agree_on_replicas() {
  agree(communicator_, [&] { check_replicas<T>(exec_, communicator_, *pipeline_, step_); });
}

template <class T>
void Trainer<T>::write_checkpoint() {
  if (checkpointed_ == step_) return;
  write_metrics();  // which settles the pipeline
  const Stopwatch watch;
  agree_on_replicas();
  std::optional<PendingCheckpoint> pending;
  agree(communicator_, [&] {
    if (is_root()) pending.emplace(store_.begin(step_));
  });
  const auto path = store_.partial_path(step_);
  save_model<T>(exec_, communicator_, path / "model.h5",
                {.step = step_,
                 .tokens = tokens_,
                 .seed = static_cast<std::int64_t>(settings_.run.seed),
                 .deck = deck_.effective()},
                pipeline_->executors());
  agree(communicator_, [&] {
    if (!is_root()) return;
    metrics_->copy_closed_to(path / "metrics.h5");
    pending->commit();
  });
  checkpointed_ = step_;
  seconds_files_ += watch.seconds();
}

template <class T>
void Trainer<T>::write_metrics() {
  heed(pipeline_->settle());
  write_known_metrics();
}

template <class T>
void Trainer<T>::write_known_metrics() {
  const Stopwatch watch;
  const std::vector<StepRecord> steps = log_.gather();
  const std::vector<TraceRecord> trace =
      traced_ ? gather_trace(communicator_, *pipeline_) : std::vector<TraceRecord>();
  traced_ = false;
  agree(communicator_, [&] {
    if (!is_root()) return;
    for (const StepRecord& step : steps) metrics_->append_step(step);
    if (!trace.empty()) {
      metrics_->write_trace(trace);
      if (line_.trace) {
        write_trace_file(*line_.trace,
                         {.run = settings_.run.name,
                          .source = "measured",
                          .ranks = settings_.pipeline.placement().ranks()},
                         trace);
      }
    }
    metrics_->flush_when_due();
  });
  if (is_root() && !steps.empty()) print_step(steps.back(), step_, settings_.run.steps, seconds_left());
  seconds_files_ += watch.seconds();
}

template <class T>
void Trainer<T>::write_diagnostics() {
  const Stopwatch watch;
  const auto rows =
      gather_diagnostics(exec_, communicator_, *pipeline_, codec_, settings_.pipeline.virtual_stages() - 1);
  agree(communicator_, [&] {
    if (!is_root()) return;
    for (std::size_t p = 0; p < rows.size(); ++p) {
      metrics_->append_diagnostics(static_cast<int>(p), step_ - 1, rows[p]);
    }
  });
  seconds_files_ += watch.seconds();
}

template <class T>
std::string Trainer<T>::restart_text() const {
  if (restarted_from_) return fmt::format("from {}, {} steps done", restarted_from_->string(), step_);
  return line_.restart ? "no checkpoint yet: a fresh run" : "";
}

template <class T>
double Trainer<T>::seconds_left() const {
  const auto done = static_cast<double>(step_ - first_step_);
  return done > 0 ? static_cast<double>(settings_.run.steps - step_) * since_start_.seconds() / done : 0.0;
}

template class Trainer<float>;
template class Trainer<double>;

}  // namespace strait::app
