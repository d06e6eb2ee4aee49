#include "strait/core/error.hpp"
#include "strait/pipeline/asynchronous.hpp"

#include <algorithm>

namespace strait::pipeline {
namespace {

using enum ActionKind;

/// Writes lists of one stage, counted from update `first`.
class AsynchronousWriter {
 public:
  AsynchronousWriter(const AsynchronousRun& run, int stage, std::int64_t first)
      : run_(run), stage_(stage), first_(first) {}

  void list(std::int64_t step) {
    const std::int64_t m = run_.rule.micro_batches;
    // Forwards that the run does not have any more keep their place, for the synchronisation before them.
    std::int64_t next = step == run_.rule.origin ? step * m : step * m + run_.slots(stage_) - 1;
    for (std::int64_t b = step * m; b < (step + 1) * m; ++b) {
      for (; next < b + run_.slots(stage_); ++next) {
        if (!is_first()) receive_sync_before(next);
        if (next < run_.micro_batches()) forward_pass(next);
      }
      backward_pass(b);
    }
    if (!is_last()) sync(codec_sync_up, stage_, stage_ + 1, step);
    if (!is_first()) sync(codec_sync_up, stage_ - 1, stage_ - 1, step);
    list_.push_back({.kind = report, .version = relative(step)});
    list_.push_back({.kind = ActionKind::step, .version = relative(step)});
    if (!is_last()) sync(codec_sync_down, stage_, stage_ + 1, step);
    if (step + 1 < run_.steps || is_first()) return;
    for (std::int64_t b = next; b <= run_.micro_batches() + run_.slots(stage_); ++b) receive_sync_before(b);
  }

  ActionList take() { return std::move(list_); }

 private:
  bool is_first() const { return stage_ == 0; }
  bool is_last() const { return stage_ == run_.rule.stages - 1; }
  int relative(std::int64_t update) const { return static_cast<int>(update - first_); }

  void add(ActionKind kind, std::int64_t micro_batch, std::int64_t version, int boundary = -1,
           int peer = -1) {
    list_.push_back({.kind = kind,
                     .micro_batch = static_cast<int>(micro_batch - first_ * run_.rule.micro_batches),
                     .slot = static_cast<int>(micro_batch % run_.slots(stage_)),
                     .version = relative(version),
                     .boundary = boundary,
                     .peer = peer});
  }

  void forward_pass(std::int64_t b) {
    const VersionRule& rule = run_.rule;
    if (!is_first()) add(receive_forward, b, rule.forward(stage_ - 1, b), stage_ - 1, stage_ - 1);
    add(forward, b, rule.forward(stage_, b));
    if (!is_last()) add(send_forward, b, rule.forward(stage_, b), stage_, stage_ + 1);
  }

  void backward_pass(std::int64_t b) {
    const VersionRule& rule = run_.rule;
    if (!is_last()) add(receive_backward, b, rule.backward(stage_ + 1, b), stage_, stage_ + 1);
    add(backward, b, rule.backward(stage_, b));
    if (!is_first()) add(send_backward, b, rule.backward(stage_, b), stage_ - 1, stage_ - 1);
  }

  void sync(ActionKind kind, int boundary, int peer, std::int64_t step) {
    list_.push_back({.kind = kind, .version = relative(step), .boundary = boundary, .peer = peer});
  }

  /// What the stage before sent between the forwards of micro-batches b - 1 and b: where its list begins with
  /// b, the update before it.
  void receive_sync_before(std::int64_t b) {
    const std::int64_t of_list = b + 1 - run_.slots(stage_ - 1);
    const std::int64_t sent = of_list / run_.rule.micro_batches - 1;
    if (of_list % run_.rule.micro_batches == 0 && sent >= run_.rule.origin) receive_sync_down(sent);
  }

  void receive_sync_down(std::int64_t step) { sync(codec_sync_down, stage_ - 1, stage_ - 1, step); }

  const AsynchronousRun& run_;
  int stage_;
  std::int64_t first_;
  ActionList list_;
};

}  // namespace

std::int64_t AsynchronousRun::forwarded(int stage, std::int64_t step) const {
  const std::int64_t complete = step * rule.micro_batches;
  if (step == rule.origin) return complete;
  return std::min(complete + slots(stage) - 1, micro_batches());
}

int AsynchronousRun::updates_in_flight(int stage) const {
  const int in_flight = slots(stage) - 1;
  return std::min(in_flight, rule.kind == WeightVersions::double_buffered ? 1 : in_flight);
}

AsynchronousRun asynchronous_run(std::string_view schedule, std::string_view versions, int stages,
                                 int micro_batches, std::int64_t steps) {
  ensure(schedule == "pipedream" || schedule == "2bw", "an asynchronous schedule that exists");
  const bool twice = schedule == "2bw";
  ensure(twice ? micro_batches >= stages : micro_batches == 1, "micro-batches that the schedule can take");
  return {.rule = {.kind = twice ? WeightVersions::double_buffered : weight_versions(versions),
                   .stages = stages,
                   .micro_batches = micro_batches},
          .steps = steps};
}

ActionList asynchronous_list(const AsynchronousRun& run, int stage, std::int64_t step) {
  AsynchronousWriter writer(run, stage, step);
  writer.list(step);
  return writer.take();
}

Schedule asynchronous_schedule(const AsynchronousRun& run, std::int64_t first, std::int64_t last) {
  Schedule out{.name = run.rule.kind == WeightVersions::double_buffered ? "2bw" : "pipedream",
               .stages = run.rule.stages,
               .micro_batches = static_cast<int>((last - first) * run.rule.micro_batches),
               .ranks = {},
               .rule = run.rule};
  out.rule->origin -= first;
  for (int stage = 0; stage < run.rule.stages; ++stage) {
    AsynchronousWriter writer(run, stage, first);
    for (std::int64_t step = first; step < last; ++step) writer.list(step);
    out.ranks.push_back(writer.take());
  }
  return out;
}

AsynchronousRun shortened(AsynchronousRun run) {
  const std::int64_t fill = run.rule.kind == WeightVersions::double_buffered ? 1 : run.rule.stages;
  run.rule.origin = 0;
  run.steps = std::min(run.steps, 2 * fill + 3);
  return run;
}

}  // namespace strait::pipeline
