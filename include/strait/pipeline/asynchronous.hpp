#pragma once
// Schedules without a flush: stage s of P admits P - 1 - s forwards, then strictly alternates one forward,
// one backward, and updates its weights whenever the gradients of an update are complete. A list is still one
// update, but micro-batches are in flight from one list to the next.

#include "strait/pipeline/schedule.hpp"

#include <cstdint>
#include <vector>

namespace strait::pipeline {

/// A run of updates rule.origin .. steps - 1, the same on every rank; one stage per rank. With m
/// micro-batches to an update, list t of stage s runs the forwards up to micro-batch t m + j + P - 1 - s,
/// while the run has it, before the backward of t m + j, j = 0 .. m - 1.
///
/// What crosses from one list to the next: a forward message per boundary, sent in list t and received in
/// list t + 1; and codec_sync_down, sent at the end of list t and received just before the first forward
/// message that was sent after it, so that both ends of a boundary change between the same two messages. The
/// last list receives what is left.
struct AsynchronousRun {
  VersionRule rule;
  std::int64_t steps = 0;

  std::int64_t micro_batches() const { return steps * rule.micro_batches; }  ///< 0 .. of the run
  /// Micro-batches whose forward has run on `stage` before list `step`.
  std::int64_t forwarded(int stage, std::int64_t step) const;
  /// Micro-batches that `stage` keeps activations of; micro-batch b is in slot b modulo this.
  int slots(int stage) const { return rule.stages - stage; }
  /// Updates of `stage` between the forward of a micro-batch and its backward.
  int updates_in_flight(int stage) const;
};

/// The run that deck names mean: schedule "pipedream" or "2bw", and the rule of the former.
AsynchronousRun asynchronous_run(std::string_view schedule, std::string_view weight_versions, int stages,
                                 int micro_batches, std::int64_t steps);

/// The list of one stage for update `step`. Micro-batches are counted from the first of the update, and may
/// be later ones; versions from `step`.
ActionList asynchronous_list(const AsynchronousRun& run, int stage, std::int64_t step);

/// The lists of updates first .. last - 1 one after the other, counted from those of `first`. From
/// rule.origin to steps it is a whole run, which the verifier proves.
Schedule asynchronous_schedule(const AsynchronousRun& run, std::int64_t first, std::int64_t last);

/// `run` cut to as few updates as show all that any number of them has: a pipeline that fills, runs and
/// drains.
AsynchronousRun shortened(AsynchronousRun run);

}  // namespace strait::pipeline
