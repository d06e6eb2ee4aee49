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
  bool compensates_delay = false;               ///< by the deck

  /// Micro-batches in flight at virtual stage `stage`, at most at any of its replicas.
  int slots_of(int stage) const { return slots[stage]; }

  optim::StageDelay delay_of(int stage) const {
    return asynchronous ? stage_delay(asynchronous->rule, stage) : optim::StageDelay{.stage = stage};
  }

  /// Whether updates of a stage read the weights that their late gradients are of.
  bool compensates(int stage) const {
    return compensates_delay && asynchronous && asynchronous->rule.delay(stage) > 0;
  }

  /// Versions of a stage's weights that exist at once, the newest among them. Those that an update reads stay
  /// until it is done.
  int weight_copies(int stage) const {
    return asynchronous ? asynchronous->rule.copies(stage) + (compensates(stage) ? 1 : 0) : 1;
  }

  /// Ends of steps between the forward of a micro-batch on a stage and its backward.
  int steps_in_flight(int stage) const { return asynchronous ? asynchronous->steps_in_flight(stage) : 0; }

  /// Forward messages that may wait at a replica of a stage between two steps; none: they cannot.
  std::optional<int> messages_between_lists(int stage) const {
    if (!asynchronous) return std::nullopt;
    return asynchronous->messages_between_lists(stage);
  }
};

}  // namespace strait::pipeline
