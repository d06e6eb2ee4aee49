#include "strait/pipeline/training_plan.hpp"

#include "strait/pipeline/verifier.hpp"

#include <algorithm>

namespace strait::pipeline {

ScheduleOptions schedule_options(const PipelineSetup& setup) {
  return {.tied_embeddings = setup.model.tie_embeddings, .chunks = setup.chunks, .replicas = setup.replicas};
}

optim::StageDelay stage_delay(const VersionRule& rule, int stage) {
  double sum = 0.0;
  for (int s = 0; s < rule.stages; ++s) sum += rule.delay(s);
  return {.stage = stage,
          .updates = static_cast<double>(rule.delay(stage)),
          .mean = sum / rule.stages,
          .updates_per_step = rule.updates_per_step(stage)};
}

namespace {

bool is_half(const Action& action) { return action.kind == ActionKind::backward_input; }

std::optional<AsynchronousRun> asynchronous_part(const PipelineSetup& setup) {
  if (synchronous(setup.schedule)) return std::nullopt;
  ensure(setup.chunks == 1 && !setup.model.tie_embeddings, "what an asynchronous schedule can take");
  return asynchronous_run(setup.schedule, setup.weight_versions, setup.stages(), setup.micro_batches,
                          setup.steps, setup.replicas);
}

Schedule schedule_of(const PipelineSetup& setup, const std::optional<AsynchronousRun>& asynchronous) {
  if (!asynchronous) {
    return schedule(setup.schedule, setup.placement().stages, setup.micro_batches, schedule_options(setup));
  }
  const AsynchronousRun run = shortened(*asynchronous);
  return asynchronous_schedule(run, 0, run.steps);
}

}  // namespace

TrainingPlan::TrainingPlan(const PipelineSetup& setup)
    : asynchronous(asynchronous_part(setup)),
      schedule(schedule_of(setup, asynchronous)),
      split_backward(
          std::any_of(schedule.ranks.begin(), schedule.ranks.end(),
                      [](const ActionList& list) { return std::any_of(list.begin(), list.end(), is_half); })),
      compensates_delay(setup.optimizer.delay_compensation > 0.0) {
  ensure(schedule.virtual_stages() == setup.stages(), "the schedule covers the stages");
  const auto found = prove(schedule).slots;
  const Placement placement = schedule.placement();
  for (int stage = 0; stage < setup.stages(); ++stage) {
    slots.push_back(asynchronous ? asynchronous->slots(stage) : 0);
    for (int replica = 0; !asynchronous && replica < placement.replicas_of(stage); ++replica) {
      const auto& of_rank = found[placement.rank_of(stage, replica)];
      slots[stage] = std::max(slots[stage], of_rank[stage / placement.stages]);
    }
  }
}

}  // namespace strait::pipeline
