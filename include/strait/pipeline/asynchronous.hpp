#pragma once
// Schedules without a flush (1F1B-RR, Narayanan et al. 2019): each replica of a stage admits as many forwards
// as its warm-up, then strictly alternates one forward, one backward, and the stage updates its weights
// whenever the gradients of an update are complete on all its replicas. A list is one step, which has whole
// updates of every stage, but micro-batches are in flight from one list to the next.

#include "strait/pipeline/schedule.hpp"

#include <cstdint>
#include <vector>

namespace strait::pipeline {

/// A run of steps rule.origin .. steps - 1, the same on every rank. With n passes of a replica to a step and
/// a warm-up of w, list t of a replica runs its forwards up to pass t n + j + w, while the run has it, before
/// the backward of pass t n + j, j = 0 .. n - 1. Pass i of replica k of r is micro-batch i r + k.
///
/// What crosses from one list to the next: forward messages of a boundary, sent in list t and received in
/// list t + 1; and codec_sync_down, sent at the end of list t and received just before the first forward
/// message that any rank sent after its list t, so that both ends of a boundary change between the same
/// messages. The last list receives what is left.
struct AsynchronousRun {
  VersionRule rule;
  std::int64_t steps = 0;

  int replicas(int stage) const { return rule.placement().replicas_of(stage); }
  /// n: of each replica of `stage` in a step.
  int passes_per_step(int stage) const { return rule.micro_batches / replicas(stage); }
  /// Passes of each replica of `stage` whose forward has run before list `step`.
  std::int64_t forwarded(int stage, std::int64_t step) const;
  /// Micro-batches that a replica of `stage` keeps activations of; pass i is in slot i modulo this.
  int slots(int stage) const { return rule.warm_up(stage) + 1; }
  /// Ends of steps between the forward of a micro-batch on `stage` and its backward.
  int steps_in_flight(int stage) const;
  /// Forward messages that may wait at a replica of `stage`, not the first, from one list to the next.
  int messages_between_lists(int stage) const;
  /// Synchronisations of the boundary before `stage` that precede the forward of `micro_batch` there: as many
  /// steps as the stage before had done at its own forward.
  std::int64_t synchronised(int stage, std::int64_t micro_batch) const;
};

/// Micro-batches of a step of schedule "pipedream": the fewest that are whole updates of every stage, the
/// least common multiple of the replicas of the stages (none: one of each).
int pipedream_micro_batches(const std::vector<int>& replicas);

/// The run that deck names mean: schedule "pipedream", whose steps have pipedream_micro_batches, or "2bw",
/// with a multiple of every stage's replicas and at least one micro-batch for each rank; and the rule of the
/// former, where stages with unequal replicas have no "vertical-sync".
AsynchronousRun asynchronous_run(std::string_view schedule, std::string_view weight_versions, int stages,
                                 int micro_batches, std::int64_t steps,
                                 const std::vector<int>& replicas = {});

/// The list of one rank for step `step`. Micro-batches are counted from the first of the step, and may be
/// later ones; versions from those that its stage has at the step's begin.
ActionList asynchronous_list(const AsynchronousRun& run, int rank, std::int64_t step);

/// The lists of steps first .. last - 1 one after the other, counted from those of `first`. From rule.origin
/// to steps it is a whole run, which the verifier proves.
Schedule asynchronous_schedule(const AsynchronousRun& run, std::int64_t first, std::int64_t last);

/// `run` cut to as few steps as show all that any number of them has: a pipeline that fills, runs and
/// drains.
AsynchronousRun shortened(AsynchronousRun run);

}  // namespace strait::pipeline
