// The cuts of a pipeline whose stages have their ranks already.
#include "strait/core/error.hpp"
#include "strait/pipeline/planner.hpp"

#include "plan_assembly.hpp"

#include <algorithm>
#include <limits>
#include <numeric>

namespace strait::pipeline {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

/// Stages in turn on the ranks of a machine in turn.
class Cutter {
 public:
  Cutter(const PlanTask& task, const PlanCosts& costs, const std::vector<int>& replicas)
      : machine_(task.machine), costs_(costs), replicas_(replicas) {
    first_rank_.push_back(0);
    for (const int count : replicas) first_rank_.push_back(first_rank_.back() + count);
  }

  int stages() const { return static_cast<int>(replicas_.size()); }

  PlanLeaf leaf(int stage, int first, int last) const {
    PlanLeaf leaf;
    leaf.first = first;
    leaf.last = last;
    leaf.ranks_behind = first_rank_.back() - first_rank_[stage + 1];
    leaf.ranks.resize(replicas_[stage]);
    std::iota(leaf.ranks.begin(), leaf.ranks.end(), first_rank_[stage]);
    leaf.speed = infinity;
    for (const int rank : leaf.ranks) leaf.speed = std::min(leaf.speed, machine_.speed_of(rank));
    return leaf;
  }

  /// The lowest level whose groups hold all ranks from stage `a` to stage `b`.
  int level(int a, int b) const {
    const MachineLevel& link = machine_.link(first_rank_[a], first_rank_[b + 1] - 1);
    return static_cast<int>(&link - machine_.levels.data());
  }

  PlanParts::Cut cut(int stage, int before_layer) const { return {level(stage - 1, stage), before_layer, 1}; }

  /// Level by level: on each, over as many components as the stage has in one group.
  std::vector<PlanParts::AllReduce> all_reduces(int stage, int first, int last) const {
    std::vector<PlanParts::AllReduce> found;
    const int begin = first_rank_[stage], end = first_rank_[stage + 1];
    int size = 1;
    for (std::size_t k = 0; k < machine_.levels.size(); ++k) {
      const int group = size * machine_.levels[k].components;
      int most = 1;
      for (int from = begin; from < end;) {
        const int to = std::min(end, (from / group + 1) * group);
        most = std::max(most, (to - 1) / size - from / size + 1);
        from = to;
      }
      for (auto& inner : found) inner.multiplicity *= most;
      if (most > 1) found.push_back({static_cast<int>(k), most, most, first, last});
      size = group;
    }
    return found;
  }

  /// Seconds per micro-batch of a stage with its all-reduce and the cut before it.
  double busy(int stage, int first, int last) const {
    const PlanLeaf whole = leaf(stage, first, last);
    const auto seat = costs_.seat(replicas_[stage], whole.ranks_behind, whole.speed);
    const auto terms = costs_.terms(seat, first, last);
    if (terms.memory > costs_.memory()) return infinity;
    double seconds = terms.busy();
    for (const auto& at : all_reduces(stage, first, last)) {
      const auto ring = costs_.ring(at.level, at.components, at.multiplicity);
      seconds = std::max(seconds, ring.fixed + ring.per_byte * costs_.weights(first, last));
    }
    if (stage > 0) seconds = std::max(seconds, costs_.transfer(level(stage - 1, stage), first, 1));
    return seconds;
  }

 private:
  const Machine& machine_;
  const PlanCosts& costs_;
  std::vector<int> replicas_;
  std::vector<int> first_rank_;
};

}  // namespace

Plan cut_layers(const PlanTask& task, const std::vector<int>& replicas) {
  ensure(std::accumulate(replicas.begin(), replicas.end(), 0) == task.machine.ranks(),
         "the stages take all ranks of the machine");
  const PlanCosts costs(task);
  const Cutter cutter(task, costs, replicas);
  const int stages = cutter.stages();
  const int layers = costs.layers();
  if (stages > layers) fail(ExitCode::deck, "no plan: {} stages need more than {} layers", stages, layers);

  // least[s][j]: the bottleneck of layers 0 .. j - 1 on stages 0 .. s; from: where the last of them begins.
  // Of equal cuts the earliest leaves more to later stages, which keep fewer micro-batches in flight.
  std::vector<std::vector<double>> least(stages, std::vector<double>(layers + 1, infinity));
  std::vector<std::vector<int>> from(stages, std::vector<int>(layers + 1, -1));
  for (int s = 0; s < stages; ++s) {
    for (int j = s + 1; j <= layers - (stages - 1 - s); ++j) {
      for (int i = s; i < (s == 0 ? 1 : j); ++i) {
        const double before = s == 0 ? 0.0 : least[s - 1][i];
        if (before >= least[s][j]) continue;
        const double value = std::max(before, cutter.busy(s, i, j));
        if (value >= least[s][j]) continue;
        least[s][j] = value;
        from[s][j] = i;
      }
    }
  }
  if (least[stages - 1][layers] == infinity) {
    fail(ExitCode::deck, "no plan: no cut of the {} layers into {} stages fits into {:.3g} GB per rank",
         layers, stages, costs.memory() / 1e9);
  }
  PlanParts parts;
  for (int s = stages - 1, last = layers; s >= 0; --s) {
    const int first = from[s][last];
    parts.leaves.insert(parts.leaves.begin(), cutter.leaf(s, first, last));
    for (const auto& at : cutter.all_reduces(s, first, last)) parts.all_reduces.push_back(at);
    if (s > 0) parts.cuts.insert(parts.cuts.begin(), cutter.cut(s, first));
    last = first;
  }
  return assemble(task, costs, parts);
}

}  // namespace strait::pipeline
