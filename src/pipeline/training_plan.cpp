#include "strait/pipeline/training_plan.hpp"

#include "strait/pipeline/verifier.hpp"

#include <algorithm>

namespace strait::pipeline {

ScheduleOptions schedule_options(const PipelineSetup& setup) {
  return {.tied_embeddings = setup.model.tie_embeddings, .chunks = setup.chunks};
}

namespace {

bool is_half(const Action& action) { return action.kind == ActionKind::backward_input; }

}  // namespace

TrainingPlan::TrainingPlan(const PipelineSetup& setup)
    : schedule(
          pipeline::schedule(setup.schedule, setup.ranks(), setup.micro_batches, schedule_options(setup))),
      slots(prove(schedule).slots),
      split_backward(std::any_of(schedule.ranks.begin(), schedule.ranks.end(), [](const ActionList& list) {
        return std::any_of(list.begin(), list.end(), is_half);
      })) {
  ensure(schedule.virtual_stages() == setup.stages(), "the schedule covers the stages");
}

}  // namespace strait::pipeline
