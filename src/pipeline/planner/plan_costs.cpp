#include "plan_costs.hpp"

#include "strait/core/bits16.hpp"

#include <algorithm>
#include <functional>
#include <limits>

namespace strait::pipeline {
namespace {

template <class Member>
std::vector<double> running_sums(const std::vector<PlanLayer>& layers, Member member) {
  std::vector<double> sum(1, 0.0);
  for (const PlanLayer& layer : layers) sum.push_back(sum.back() + std::invoke(member, layer));
  return sum;
}

int rounded_up(int a, int b) { return (a + b - 1) / b; }

}  // namespace

PlanCosts::PlanCosts(const PlanTask& task)
    : levels_(task.machine.levels),
      rule_(task.sync),
      schedule_(task.schedule),
      weight_versions_(task.weight_versions),
      version_share_(task.bfloat16 ? double(sizeof(bfloat16)) / sizeof(float) : 1.0),
      updates_each_micro_batch_(task.schedule == "pipedream"),
      micro_batches_(task.micro_batches),
      ranks_(task.machine.ranks()),
      memory_(task.machine.memory_bytes > 0
                  ? static_cast<double>(task.machine.memory_bytes) - task.workspace_bytes
                  : std::numeric_limits<double>::infinity()),
      sync_down_(task.boundary.sync_down_bytes),
      sync_up_(task.boundary.sync_up_bytes),
      compute_(running_sums(task.layers, &PlanLayer::compute)),
      update_(running_sums(task.layers, &PlanLayer::update)),
      weights_(running_sums(task.layers, &PlanLayer::parameter_bytes)),
      state_(running_sums(task.layers, &PlanLayer::state_bytes)),
      activations_(running_sums(task.layers, &PlanLayer::activation_bytes)) {
  const std::size_t cuts = task.layers.size() + 1;
  enter_.assign(cuts, task.boundary.receiver_seconds);
  leave_.assign(cuts, task.boundary.sender_seconds);
  enter_update_.assign(cuts, task.boundary.update_seconds);
  leave_update_ = enter_update_;
  enter_.front() = enter_update_.front() = 0.0;
  leave_.back() = leave_update_.back() = 0.0;
  forward_.assign(1, 0.0);
  backward_.assign(1, 0.0);
  for (const PlanLayer& layer : task.layers) {
    forward_.push_back(layer.bytes_forward);
    backward_.push_back(layer.bytes_backward);
  }
}

double PlanCosts::share(int replicas) const {
  // The replicas of a synchronous step wait for the one that has the most micro-batches.
  if (rule_ == SyncRule::paper || updates_each_micro_batch_) return 1.0 / replicas;
  return static_cast<double>(rounded_up(micro_batches_, replicas)) / micro_batches_;
}

double PlanCosts::updates(int replicas) const {
  return rule_ == SyncRule::paper || updates_each_micro_batch_ ? 1.0 / replicas : 1.0 / micro_batches_;
}

PlanCosts::Seat PlanCosts::seat(int replicas, int ranks_behind, double speed) const {
  const int per_step = rounded_up(micro_batches_, replicas);
  const int whole = rounded_up(ranks_, replicas);
  int in_flight = rounded_up(replicas + ranks_behind, replicas);
  if (schedule_ == "gpipe") in_flight = per_step;
  if (schedule_ == "zb-h1") in_flight = whole;
  if (!updates_each_micro_batch_) in_flight = std::min(in_flight, per_step);
  int versions = 1;
  if (schedule_ == "2bw" && replicas < ranks_) versions = 2;  // one stage has nothing in flight at an update
  if (updates_each_micro_batch_ && weight_versions_ == "stash") versions = in_flight;
  if (updates_each_micro_batch_ && weight_versions_ == "vertical-sync") versions = whole;
  return {.share = share(replicas),
          .updates = updates(replicas),
          .slowness = 1.0 / speed,
          .in_flight = in_flight,
          .versions = versions};
}

int PlanCosts::felt(int ranks_behind) const {
  if (memory_ == std::numeric_limits<double>::infinity()) return 0;
  if (schedule_ == "gpipe" || schedule_ == "zb-h1") return 0;
  return updates_each_micro_batch_ ? ranks_behind : std::min(ranks_behind, micro_batches_);
}

PlanCosts::Terms PlanCosts::terms(const Seat& seat, int first, int last) const {
  const double seconds = compute_[last] - compute_[first];
  const double codec = enter_[first] + leave_[last];
  const double update = update_[last] - update_[first] + enter_update_[first] + leave_update_[last];
  return {.compute = seconds * seat.share * seat.slowness,
          .codec = codec * seat.share * seat.slowness,
          .update = update * seat.updates * seat.slowness,
          .pass = (seconds + codec) * seat.slowness,
          .memory = state_[last] - state_[first] + versions(seat) * weights(first, last) +
                    seat.in_flight * (activations_[last] - activations_[first])};
}

void PlanCosts::sums(const Seat& seat, Sums& out) const {
  const std::size_t cuts = compute_.size();
  for (auto* values : {&out.busy_begin, &out.busy_end, &out.pass_begin, &out.pass_end, &out.kept}) {
    values->resize(cuts);
  }
  const double often = seat.updates * seat.slowness;
  for (std::size_t i = 0; i < cuts; ++i) out.pass_begin[i] = (enter_[i] - compute_[i]) * seat.slowness;
  for (std::size_t i = 0; i < cuts; ++i) out.pass_end[i] = (leave_[i] + compute_[i]) * seat.slowness;
  for (std::size_t i = 0; i < cuts; ++i) {
    out.busy_begin[i] = out.pass_begin[i] * seat.share + (enter_update_[i] - update_[i]) * often;
  }
  for (std::size_t i = 0; i < cuts; ++i) {
    out.busy_end[i] = out.pass_end[i] * seat.share + (leave_update_[i] + update_[i]) * often;
  }
  for (std::size_t i = 0; i < cuts; ++i) {
    out.kept[i] = state_[i] + versions(seat) * weights_[i] + seat.in_flight * activations_[i];
  }
}

PlanCosts::Ring PlanCosts::ring(int level, int components, int multiplicity) const {
  if (components == 1) return {};
  const MachineLevel& link = levels_[level];
  const double others = 2.0 * (components - 1);
  const double often = updates(multiplicity);
  if (rule_ == SyncRule::paper) return {.per_byte = often * others * 8.0 / link.bandwidth};
  // A rank sends and receives at once.
  const double ways = link.duplex ? 1.0 : 2.0;
  return {.per_byte = often * ways * others / components * 8.0 / link.bandwidth,
          .fixed = often * 2.0 * link.latency};
}

double PlanCosts::transfer(int level, int cut, int multiplicity) const {
  const MachineLevel& link = levels_[level];
  const double often = share(multiplicity);
  if (rule_ == SyncRule::paper) return often * 2.0 * forward_[cut] * 8.0 / link.bandwidth;
  const double down = often * forward_[cut] + updates(multiplicity) * sync_down_;
  const double up = often * backward_[cut] + updates(multiplicity) * sync_up_;
  const double bytes = link.duplex ? std::max(down, up) : down + up;
  return bytes * 8.0 / link.bandwidth + often * (link.duplex ? 1.0 : 2.0) * link.latency;
}

double PlanCosts::crossing(int level, int cut) const {
  const MachineLevel& link = levels_[level];
  return (forward_[cut] + backward_[cut]) * 8.0 / link.bandwidth + 2.0 * link.latency;
}

}  // namespace strait::pipeline
