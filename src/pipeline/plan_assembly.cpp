#include "plan_assembly.hpp"

#include "strait/core/error.hpp"

#include <algorithm>

namespace strait::pipeline {
namespace {

PlanStage priced(const PlanTask& task, const PlanCosts& costs, const PlanLeaf& leaf) {
  const auto seat = costs.seat(static_cast<int>(leaf.ranks.size()), leaf.ranks_behind, leaf.speed);
  const auto terms = costs.terms(seat, leaf.first, leaf.last);
  PlanStage stage;
  stage.first_layer = leaf.first;
  stage.last_layer = leaf.last;
  stage.ranks = leaf.ranks;
  stage.compute = terms.compute;
  stage.codec = terms.codec;
  stage.update = terms.update;
  stage.pass = terms.pass;
  for (int layer = leaf.first; layer < leaf.last; ++layer) {
    const PlanLayer& at = task.layers[layer];
    stage.backward += (at.backward_input + at.backward_weight) * seat.slowness;
    stage.backward_weight += at.backward_weight * seat.slowness;
  }
  stage.in_flight = seat.in_flight;
  stage.versions = seat.versions;
  stage.memory_bytes = terms.memory + task.workspace_bytes;
  return stage;
}

/// Of a synchronous step: while one stage or link does its share of all micro-batches, one micro-batch passes
/// the others before and after; an all-reduce hides behind the last backward at most.
double step_seconds(const PlanTask& task, const std::vector<PlanStage>& stages) {
  const auto filling = [&](const PlanStage& stage) {
    return stage.pass - (task.schedule == "zb-h1" ? 2.0 * stage.backward_weight : 0.0);
  };
  double around = 0.0;
  for (const PlanStage& stage : stages) around += filling(stage) + stage.crossing;
  double step = 0.0;
  for (const PlanStage& stage : stages) {
    const double exposed = std::max(0.0, stage.all_reduce * task.micro_batches - stage.backward);
    step = std::max(step, around - filling(stage) + stage.busy() * task.micro_batches + exposed);
    step = std::max(step, around - stage.crossing + stage.transfer * task.micro_batches);
  }
  return step;
}

}  // namespace

Plan assemble(const PlanTask& task, const PlanCosts& costs, const PlanParts& parts) {
  ensure(parts.cuts.size() + 1 == parts.leaves.size(), "a cut lies between any two stages");
  Plan plan;
  for (const PlanLeaf& leaf : parts.leaves) plan.stages.push_back(priced(task, costs, leaf));
  for (std::size_t i = 0; i < parts.cuts.size(); ++i) {
    const auto& cut = parts.cuts[i];
    plan.stages[i].transfer = costs.transfer(cut.level, cut.before_layer, cut.multiplicity);
    plan.stages[i].crossing = costs.crossing(cut.level, cut.before_layer);
  }
  for (const auto& all_reduce : parts.all_reduces) {
    const auto ring = costs.ring(all_reduce.level, all_reduce.components, all_reduce.multiplicity);
    const double seconds = ring.fixed + ring.per_byte * costs.weights(all_reduce.first, all_reduce.last);
    for (PlanStage& stage : plan.stages) {
      if (stage.first_layer < all_reduce.first || stage.last_layer > all_reduce.last) continue;
      stage.all_reduce = std::max(stage.all_reduce, seconds);
    }
  }
  for (const PlanStage& stage : plan.stages) {
    plan.seconds_per_micro_batch =
        std::max({plan.seconds_per_micro_batch, stage.busy(), stage.all_reduce, stage.transfer});
    plan.seconds_one_micro_batch += stage.pass + stage.crossing;
  }
  plan.drains = task.schedule != "pipedream" && task.schedule != "2bw";
  plan.seconds_per_step =
      plan.drains ? step_seconds(task, plan.stages) : plan.seconds_per_micro_batch * task.micro_batches;
  const int first = plan.stages.front().replicas();
  plan.micro_batches_in_flight = (plan.ranks() + first - 1) / first;
  return plan;
}

int Plan::ranks() const {
  int ranks = 0;
  for (const PlanStage& stage : stages) ranks += stage.replicas();
  return ranks;
}

}  // namespace strait::pipeline
