#include "simulated_durations.hpp"

namespace strait::pipeline::simulator_detail {

using enum ActionKind;

bool computes(ActionKind kind) {
  return kind == forward || kind == backward || kind == backward_input || kind == backward_weight ||
         kind == step;
}

Durations::Durations(const Schedule& schedule, const SimulationCosts& costs, const Machine& machine)
    : stages_(schedule.stages), costs_(costs), update_(schedule.ranks.size()) {
  const Placement placement = schedule.placement();
  for (int stage = 0; stage < stages_; ++stage) {
    stage_of_.insert(stage_of_.end(), placement.replicas_of(stage), stage);
  }
  for (std::size_t rank = 0; rank < schedule.ranks.size(); ++rank) {
    slowness_.push_back(1.0 / machine.speed_of(static_cast<int>(rank)));
    for (int chunk = 0; chunk < schedule.chunks; ++chunk) {
      const int stage = virtual_stage(static_cast<int>(rank), chunk);
      update_[rank] += costs.stages[stage].update;
      if (stage > 0) update_[rank] += costs.boundaries[stage - 1].update;
      if (stage + 1 < schedule.virtual_stages()) update_[rank] += costs.boundaries[stage].update;
    }
  }
}

double Durations::on_rank_of_speed_1(int rank, const Action& action) const {
  const StageCosts& stage = costs_.stages[virtual_stage(rank, action.chunk)];
  switch (action.kind) {
    case forward:
      return stage.forward;
    case backward:
      return stage.backward_input + stage.backward_weight;
    case backward_input:
      return stage.backward_input;
    case backward_weight:
      return stage.backward_weight;
    case step:
      return update_[rank];
    case send_forward:
      return costs_.boundaries[action.boundary].encode;
    case receive_forward:
      return costs_.boundaries[action.boundary].decode;
    case send_backward:
      return costs_.boundaries[action.boundary].encode_gradient;
    case receive_backward:
      return costs_.boundaries[action.boundary].decode_gradient;
    default:
      return 0.0;
  }
}

}  // namespace strait::pipeline::simulator_detail
