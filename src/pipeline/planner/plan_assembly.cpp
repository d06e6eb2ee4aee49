#include "plan_assembly.hpp"

#include "strait/core/error.hpp"
#include "strait/pipeline/gradient_parts.hpp"

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

/// How much longer than the last backward an all-reduce of `seconds` takes. The gradients of runs of layers
/// cross one after the other, the last run first, each once it is complete.
double exposed(const PlanTask& task, const PlanStage& stage, double seconds) {
  const int layers = stage.last_layer - stage.first_layer, run = layers_of_part(layers);
  const auto backward = [&](const PlanLayer& layer) {
    return layer.backward_weight + (task.schedule == "zb-h1" ? 0.0 : layer.backward_input);
  };
  double whole = 0.0, bytes = 0.0;
  for (int i = stage.first_layer; i < stage.last_layer; ++i) {
    whole += backward(task.layers[i]);
    bytes += task.layers[i].parameter_bytes;
  }
  if (bytes == 0.0) return seconds;
  const double slowness =
      whole > 0.0 ? (task.schedule == "zb-h1" ? stage.backward_weight : stage.backward) / whole : 1.0;
  double longest = 0.0, to_cross = 0.0, left = 0.0;  // once the run at hand is complete
  for (int i = 0; i < layers; i += run) {
    double of_run = 0.0;
    for (int j = i; j < std::min(i + run, layers); ++j) {
      to_cross += task.layers[stage.first_layer + j].parameter_bytes / bytes * seconds;
      of_run += backward(task.layers[stage.first_layer + j]) * slowness;
    }
    longest = std::max(longest, to_cross - left);
    left += of_run;
  }
  return longest;
}

/// Of a synchronous step: while one stage or link does its share of all micro-batches, one micro-batch passes
/// the others before and after; an all-reduce hides behind the last backward as far as it can.
double step_seconds(const PlanTask& task, const std::vector<PlanStage>& stages) {
  const auto filling = [&](const PlanStage& stage) {
    return stage.pass - (task.schedule == "zb-h1" ? 2.0 * stage.backward_weight : 0.0);
  };
  double around = 0.0;
  for (const PlanStage& stage : stages) around += filling(stage) + stage.crossing;
  double step = 0.0;
  for (const PlanStage& stage : stages) {
    const double all_reduce = exposed(task, stage, stage.all_reduce * task.micro_batches);
    step = std::max(step, around - filling(stage) + stage.busy() * task.micro_batches + all_reduce);
    step = std::max(step, around - stage.crossing + stage.transfer * task.micro_batches / stage.links);
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
    const int fewer = std::min(plan.stages[i].replicas(), plan.stages[i + 1].replicas());
    if (cut.level == 0) plan.stages[i].links = fewer / cut.multiplicity;
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
