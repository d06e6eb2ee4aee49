#include "strait/pipeline/training_plan.hpp"

#include "strait/pipeline/verifier.hpp"

#include <algorithm>

namespace strait::pipeline {

ScheduleOptions schedule_options(const PipelineSetup& setup) {
  return {.tied_embeddings = setup.model.tie_embeddings, .chunks = setup.chunks};
}

namespace {

bool is_half(const Action& action) { return action.kind == ActionKind::backward_input; }

std::optional<AsynchronousRun> asynchronous_part(const PipelineSetup& setup) {
  if (synchronous(setup.schedule)) return std::nullopt;
  ensure(setup.chunks == 1 && !setup.model.tie_embeddings, "what an asynchronous schedule can take");
  return asynchronous_run(setup.schedule, setup.weight_versions, setup.ranks(), setup.micro_batches,
                          setup.steps);
}

Schedule schedule_of(const PipelineSetup& setup, const std::optional<AsynchronousRun>& asynchronous) {
  if (!asynchronous) {
    return schedule(setup.schedule, setup.ranks(), setup.micro_batches, schedule_options(setup));
  }
  const AsynchronousRun run = shortened(*asynchronous);
  return asynchronous_schedule(run, 0, run.steps);
}

}  // namespace

TrainingPlan::TrainingPlan(const PipelineSetup& setup)
    : asynchronous(asynchronous_part(setup)),
      schedule(schedule_of(setup, asynchronous)),
      slots(prove(schedule).slots),
      split_backward(std::any_of(schedule.ranks.begin(), schedule.ranks.end(), [](const ActionList& list) {
        return std::any_of(list.begin(), list.end(), is_half);
      })) {
  ensure(schedule.virtual_stages() == setup.stages(), "the schedule covers the stages");
  for (int rank = 0; asynchronous && rank < setup.ranks(); ++rank) slots[rank] = {asynchronous->slots(rank)};
}

}  // namespace strait::pipeline
