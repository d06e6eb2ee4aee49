#include "strait/core/error.hpp"
#include "strait/pipeline/asynchronous.hpp"

#include "schedule_writer.hpp"

#include <algorithm>
#include <functional>
#include <numeric>

namespace strait::pipeline {
namespace {

using enum ActionKind;

/// Writes lists of one rank, counted from step `first`.
class AsynchronousWriter {
 public:
  AsynchronousWriter(const AsynchronousRun& run, int rank, std::int64_t first)
      : run_(run),
        placement_(run.rule.placement()),
        rank_(rank),
        stage_(placement_.stage_of(rank)),
        replica_(placement_.replica_of(rank)),
        replicas_(run.replicas(stage_)),
        passes_per_update_(run.rule.micro_batches_per_update(stage_) / replicas_),
        first_(first) {}

  void list(std::int64_t step) {
    const std::int64_t n = run_.passes_per_step(stage_), begin = step * n, end = begin + n;
    const int slots = run_.slots(stage_);
    // Forwards that the run does not have any more keep their place, for the synchronisation before them.
    std::int64_t next = step == run_.rule.origin ? begin : begin + slots - 1;
    for (std::int64_t i = begin; i < end; ++i) {
      for (; next < i + slots; ++next) {
        receive_sync_before(next);
        if (next < run_.steps * n) forward_pass(next);
      }
      const bool completes_update = (i + 1) % passes_per_update_ == 0;
      if (completes_update && replicas_ > 1) list_.push_back({.kind = begin_all_reduce});
      backward_pass(i);
      if (!completes_update) continue;
      if (replicas_ > 1) list_.push_back({.kind = all_reduce});
      if (i + 1 == end) {
        if (!is_last()) synchronise(codec_sync_up, stage_, stage_ + 1, step);
        if (!is_first()) synchronise(codec_sync_up, stage_ - 1, stage_ - 1, step);
      }
      const std::int64_t update = i / passes_per_update_;
      list_.push_back({.kind = ActionKind::step, .version = relative(stage_, update)});
    }
    list_.push_back({.kind = report, .version = static_cast<int>(step - first_)});
    if (!is_last()) synchronise(codec_sync_down, stage_, stage_ + 1, step);
    if (step + 1 == run_.steps && !is_first()) {
      for (std::int64_t t = synchronised_before(next); t < run_.steps; ++t) receive_sync_down(t);
    }
  }

  ActionList take() { return std::move(list_); }

 private:
  bool is_first() const { return stage_ == 0; }
  bool is_last() const { return stage_ == run_.rule.stages - 1; }
  std::int64_t micro_batch_of(std::int64_t pass) const { return pass * replicas_ + replica_; }
  int relative(int stage, std::int64_t version) const {
    return static_cast<int>(version - first_ * run_.rule.updates_per_step(stage));
  }

  /// Of a computation, or of a message to or from virtual stage `other`. `version` is of stage `of`.
  void add(ActionKind kind, std::int64_t pass, std::int64_t version, int of, int boundary = -1,
           int other = -1) {
    const auto b = static_cast<int>(micro_batch_of(pass) - first_ * run_.rule.micro_batches);
    list_.push_back({.kind = kind,
                     .micro_batch = b,
                     .slot = static_cast<int>(pass % run_.slots(stage_)),
                     .version = relative(of, version),
                     .boundary = boundary,
                     .peer = other < 0 ? -1 : placement_.rank_for(other, b)});
  }

  void forward_pass(std::int64_t pass) {
    const VersionRule& rule = run_.rule;
    const std::int64_t b = micro_batch_of(pass);
    if (!is_first()) {
      add(receive_forward, pass, rule.forward(stage_ - 1, b), stage_ - 1, stage_ - 1, stage_ - 1);
    }
    add(forward, pass, rule.forward(stage_, b), stage_);
    if (!is_last()) add(send_forward, pass, rule.forward(stage_, b), stage_, stage_, stage_ + 1);
  }

  void backward_pass(std::int64_t pass) {
    const VersionRule& rule = run_.rule;
    const std::int64_t b = micro_batch_of(pass);
    if (!is_last()) {
      add(receive_backward, pass, rule.backward(stage_ + 1, b), stage_ + 1, stage_, stage_ + 1);
    }
    add(backward, pass, rule.backward(stage_, b), stage_);
    if (!is_first()) add(send_backward, pass, rule.backward(stage_, b), stage_, stage_ - 1, stage_ - 1);
  }

  void synchronise(ActionKind kind, int boundary, int other, std::int64_t step) {
    add_synchronisation(list_, placement_, rank_, other,
                        {.kind = kind, .version = static_cast<int>(step - first_), .boundary = boundary});
  }

  void receive_sync_down(std::int64_t step) { synchronise(codec_sync_down, stage_ - 1, stage_ - 1, step); }

  std::int64_t synchronised_before(std::int64_t pass) const {
    return run_.synchronised(stage_, micro_batch_of(pass - 1));
  }

  void receive_sync_before(std::int64_t pass) {
    if (is_first()) return;
    const std::int64_t end = run_.synchronised(stage_, micro_batch_of(pass));
    for (std::int64_t t = synchronised_before(pass); t < end; ++t) receive_sync_down(t);
  }

  const AsynchronousRun& run_;
  Placement placement_;
  int rank_, stage_, replica_, replicas_;
  int passes_per_update_;
  std::int64_t first_;
  ActionList list_;
};

}  // namespace

std::int64_t AsynchronousRun::forwarded(int stage, std::int64_t step) const {
  const std::int64_t n = passes_per_step(stage), complete = step * n;
  if (step == rule.origin) return complete;
  return std::min(complete + slots(stage) - 1, steps * n);
}

int AsynchronousRun::steps_in_flight(int stage) const {
  const int n = passes_per_step(stage);
  return (rule.warm_up(stage) + n - 1) / n;
}

int AsynchronousRun::messages_between_lists(int stage) const {
  const int sent = rule.warm_up(stage - 1) * replicas(stage - 1);
  const int received = rule.warm_up(stage) * replicas(stage);
  return (sent - received + replicas(stage) - 1) / replicas(stage);
}

std::int64_t AsynchronousRun::synchronised(int stage, std::int64_t micro_batch) const {
  const std::int64_t in_flight = std::int64_t{rule.warm_up(stage - 1)} * replicas(stage - 1);
  const std::int64_t before = std::max<std::int64_t>(micro_batch - in_flight, 0) / rule.micro_batches;
  return std::clamp(before, rule.origin, std::max(steps, rule.origin));
}

int pipedream_micro_batches(const std::vector<int>& replicas) {
  return std::accumulate(replicas.begin(), replicas.end(), 1,
                         [](int multiple, int number) { return std::lcm(multiple, number); });
}

AsynchronousRun asynchronous_run(std::string_view schedule, std::string_view versions, int stages,
                                 int micro_batches, std::int64_t steps, const std::vector<int>& replicas) {
  ensure(schedule == "pipedream" || schedule == "2bw", "an asynchronous schedule that exists");
  const bool twice = schedule == "2bw";
  const int whole = pipedream_micro_batches(replicas);
  AsynchronousRun run{.rule = {.kind = twice ? WeightVersions::double_buffered : weight_versions(versions),
                               .stages = stages,
                               .micro_batches = micro_batches,
                               .replicas = replicas},
                      .steps = steps};
  ensure(twice ? micro_batches % whole == 0 && micro_batches >= run.rule.placement().ranks()
               : micro_batches == whole,
         "micro-batches that the schedule can take");
  const bool alike =
      std::adjacent_find(replicas.begin(), replicas.end(), std::not_equal_to()) == replicas.end();
  ensure(alike || run.rule.kind != WeightVersions::vertical_sync, "versions that all stages have");
  return run;
}

ActionList asynchronous_list(const AsynchronousRun& run, int rank, std::int64_t step) {
  AsynchronousWriter writer(run, rank, step);
  writer.list(step);
  return writer.take();
}

Schedule asynchronous_schedule(const AsynchronousRun& run, std::int64_t first, std::int64_t last) {
  Schedule out{.name = run.rule.kind == WeightVersions::double_buffered ? "2bw" : "pipedream",
               .stages = run.rule.stages,
               .micro_batches = static_cast<int>((last - first) * run.rule.micro_batches),
               .replicas = run.rule.replicas,
               .ranks = {},
               .rule = run.rule};
  out.rule->origin -= first;
  for (int rank = 0; rank < run.rule.placement().ranks(); ++rank) {
    AsynchronousWriter writer(run, rank, first);
    for (std::int64_t step = first; step < last; ++step) writer.list(step);
    out.ranks.push_back(writer.take());
  }
  return out;
}

AsynchronousRun shortened(AsynchronousRun run) {
  const int fill =
      run.rule.kind == WeightVersions::double_buffered ? 1 : std::max(run.steps_in_flight(0) + 1, 1);
  run.rule.origin = 0;
  run.steps = std::min<std::int64_t>(run.steps, 2 * fill + 3);
  return run;
}

}  // namespace strait::pipeline
