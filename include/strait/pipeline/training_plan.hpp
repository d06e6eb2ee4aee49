#pragma once
// What a pipeline does in a training step and must hold for it, before anything is built.

#include "strait/pipeline/config.hpp"
#include "strait/pipeline/schedule.hpp"

#include <vector>

namespace strait::pipeline {

/// What the schedules of training, evaluation and sampling have in common.
ScheduleOptions schedule_options(const PipelineSetup& setup);

struct TrainingPlan {
  explicit TrainingPlan(const PipelineSetup& setup);

  Schedule schedule;                    ///< proven
  std::vector<std::vector<int>> slots;  ///< [rank][chunk]: micro-batches in flight
  bool split_backward = false;          ///< some backwards run in two halves

  /// Micro-batches in flight at virtual stage `stage`.
  int slots_of(int stage) const { return slots[stage % schedule.stages][stage / schedule.stages]; }
};

}  // namespace strait::pipeline
