#pragma once
// What a pipeline does in a training step and must hold for it, before anything is built.

#include "strait/pipeline/asynchronous.hpp"
#include "strait/pipeline/config.hpp"
#include "strait/pipeline/schedule.hpp"

#include <optional>
#include <vector>

namespace strait::pipeline {

/// What the schedules of training, evaluation and sampling have in common.
ScheduleOptions schedule_options(const PipelineSetup& setup);

/// How late the gradients of a stage are once the pipeline is full.
optim::StageDelay stage_delay(const VersionRule& rule, int stage);

struct TrainingPlan {
  explicit TrainingPlan(const PipelineSetup& setup);

  std::optional<AsynchronousRun> asynchronous;  ///< of such a schedule
  Schedule schedule;                            ///< proven: of a step, or of a short asynchronous run
  std::vector<int> slots;                       ///< of each virtual stage: micro-batches in flight
  bool split_backward = false;                  ///< some backwards run in two halves
  bool compensates_delay = false;               ///< updates read the weights that their gradients are of

  /// Micro-batches in flight at virtual stage `stage`, at most at any of its replicas.
  int slots_of(int stage) const { return slots[stage]; }

  optim::StageDelay delay_of(int stage) const {
    return asynchronous ? stage_delay(asynchronous->rule, stage) : optim::StageDelay{.stage = stage};
  }

  /// Versions of a stage's weights that exist at once, the newest among them. Where an update reads the
  /// weights that its gradients are of, they stay until it is done.
  int weight_copies(int stage) const {
    if (!asynchronous) return 1;
    const bool longer = compensates_delay && asynchronous->rule.delay(stage) > 0;
    return asynchronous->rule.copies(stage) + (longer ? 1 : 0);
  }

  /// Updates of a stage between the forward of a micro-batch and its backward.
  int updates_in_flight(int stage) const { return asynchronous ? asynchronous->updates_in_flight(stage) : 0; }
};

}  // namespace strait::pipeline
