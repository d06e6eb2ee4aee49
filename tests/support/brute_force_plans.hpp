#pragma once
// Every plan of a small task, each priced from its ranks as docs/planning.md says, without the planner's
// code.

#include "strait/pipeline/planner.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

namespace strait::test {

/// Layers first .. last - 1 on groups of one level: runs of them on components of the group. At level 0 a
/// rank.
struct PlanTree {
  struct Run;
  int first = 0, last = 0;
  std::vector<Run> runs;
};
struct PlanTree::Run {
  int components = 1;
  PlanTree inside;
};

/// All trees of a group of `level`.
inline std::vector<PlanTree> all_plans(const pipeline::Machine& machine, int level, int first, int last) {
  if (level == 0) return {PlanTree{first, last, {}}};
  std::vector<PlanTree> found;
  const std::function<void(PlanTree, int, int)> extend = [&](PlanTree tree, int begin, int free) {
    if (begin == last && free == 0) found.push_back(tree);
    for (int end = begin + 1; end <= last; ++end) {
      for (int count = 1; count <= free; ++count) {
        for (const PlanTree& inside : all_plans(machine, level - 1, begin, end)) {
          PlanTree longer = tree;
          longer.runs.push_back({count, inside});
          extend(longer, end, free - count);
        }
      }
    }
  };
  extend({first, last, {}}, first, machine.levels[level - 1].components);
  return found;
}

struct PlanPrice {
  double bottleneck = 0.0;
  double one_micro_batch = 0.0;
};

class PlanPricer {
 public:
  explicit PlanPricer(const pipeline::PlanTask& task) : task_(task) {}

  /// Infinite where a rank's memory is too small.
  PlanPrice price(const PlanTree& tree) {
    price_ = {};
    ranks_before_ = 0;
    group(tree, static_cast<int>(task_.machine.levels.size()), {0});
    return price_;
  }

 private:
  bool asynchronous() const { return task_.schedule == "pipedream"; }
  bool paper() const { return task_.sync == pipeline::SyncRule::paper; }
  double steps() const { return task_.micro_batches; }

  /// Micro-batches that one of `replicas` takes, per micro-batch.
  double taken(int replicas) const {
    return paper() || asynchronous() ? 1.0 / replicas : std::ceil(steps() / replicas) / steps();
  }
  double updates(int replicas) const { return paper() || asynchronous() ? 1.0 / replicas : 1.0 / steps(); }
  void busy(double seconds) { price_.bottleneck = std::max(price_.bottleneck, seconds); }

  void group(const PlanTree& tree, int level, const std::vector<int>& origins) {
    if (level == 0) return stage(tree, origins);
    const auto& link = task_.machine.levels[level - 1];
    const int copies = static_cast<int>(origins.size());
    int size = 1;
    for (int k = 0; k + 1 < level; ++k) size *= task_.machine.levels[k].components;
    int component = 0;
    for (const auto& run : tree.runs) {
      if (component > 0) cut(link, run.inside.first, copies);
      if (run.components > 1) all_reduce(link, run.components, copies, run.inside);
      std::vector<int> inner;
      for (const int origin : origins) {
        for (int c = 0; c < run.components; ++c) inner.push_back(origin + (component + c) * size);
      }
      group(run.inside, level - 1, inner);
      component += run.components;
    }
  }

  void stage(const PlanTree& tree, const std::vector<int>& ranks) {
    const int replicas = static_cast<int>(ranks.size());
    double slowest = std::numeric_limits<double>::infinity();
    for (const int rank : ranks) slowest = std::min(slowest, task_.machine.speed_of(rank));
    double compute = 0, update = 0, weights = 0, state = 0, activations = 0;
    for (int i = tree.first; i < tree.last; ++i) {
      const auto& layer = task_.layers[i];
      compute += layer.forward + layer.backward_input + layer.backward_weight;
      update += layer.update;
      weights += layer.parameter_bytes;
      state += layer.state_bytes;
      activations += layer.activation_bytes;
    }
    if (tree.first > 0) {
      compute += task_.boundary.receiver_seconds;
      update += task_.boundary.update_seconds;
    }
    if (tree.last < static_cast<int>(task_.layers.size())) {
      compute += task_.boundary.sender_seconds;
      update += task_.boundary.update_seconds;
    }
    busy((compute * taken(replicas) + update * updates(replicas)) / slowest);
    price_.one_micro_batch += compute / slowest;

    const int all = task_.machine.ranks();
    const double straight = std::ceil(double(all - ranks_before_) / replicas);
    const double share = std::ceil(steps() / replicas);
    double in_flight = straight;
    if (task_.schedule == "1f1b" || task_.schedule == "2bw") in_flight = std::min(straight, share);
    if (task_.schedule == "gpipe") in_flight = share;
    if (task_.schedule == "zb-h1") in_flight = std::min(std::ceil(double(all) / replicas), share);
    double versions = task_.schedule == "2bw" && replicas < all ? 2 : 1;
    if (asynchronous() && task_.weight_versions == "stash") versions = in_flight;
    if (asynchronous() && task_.weight_versions == "vertical-sync") {
      versions = std::ceil(double(all) / replicas);
    }
    const double kept = (versions - 1) * (task_.bfloat16 ? 0.5 : 1.0);
    const double memory = (1 + kept) * weights + state + in_flight * activations;
    if (task_.machine.memory_bytes > 0 && memory > static_cast<double>(task_.machine.memory_bytes)) {
      busy(std::numeric_limits<double>::infinity());
    }
    ranks_before_ += replicas;
  }

  void cut(const pipeline::MachineLevel& link, int before, int copies) {
    const double down = task_.layers[before - 1].bytes_forward, up = task_.layers[before - 1].bytes_backward;
    price_.one_micro_batch += 8 * (down + up) / link.bandwidth + 2 * link.latency;
    if (paper()) return busy(8 * 2 * down / link.bandwidth / copies);
    const double all_down = down * taken(copies) + task_.boundary.sync_down_bytes * updates(copies);
    const double all_up = up * taken(copies) + task_.boundary.sync_up_bytes * updates(copies);
    if (link.duplex) {
      busy(8 * std::max(all_down, all_up) / link.bandwidth + link.latency * taken(copies));
    } else {
      busy(8 * (all_down + all_up) / link.bandwidth + 2 * link.latency * taken(copies));
    }
  }

  void all_reduce(const pipeline::MachineLevel& link, int m, int copies, const PlanTree& inside) {
    double weights = 0;
    for (int i = inside.first; i < inside.last; ++i) weights += task_.layers[i].parameter_bytes;
    double seconds = 2.0 * (m - 1) / m * 8 * weights / link.bandwidth;
    if (!link.duplex) seconds *= 2;
    seconds += 2 * link.latency;
    if (paper()) seconds = 2.0 * (m - 1) * 8 * weights / link.bandwidth;
    busy(seconds * updates(copies * m));
  }

  const pipeline::PlanTask& task_;
  PlanPrice price_;
  int ranks_before_ = 0;
};

/// Of all plans the least bottleneck, and of those that reach it the least time of one micro-batch.
inline PlanPrice best_price(const pipeline::PlanTask& task) {
  const auto& machine = task.machine;
  std::vector<PlanPrice> prices;
  PlanPricer pricer(task);
  for (const PlanTree& tree :
       all_plans(machine, static_cast<int>(machine.levels.size()), 0, static_cast<int>(task.layers.size()))) {
    prices.push_back(pricer.price(tree));
  }
  PlanPrice best{.bottleneck = std::numeric_limits<double>::infinity(),
                 .one_micro_batch = std::numeric_limits<double>::infinity()};
  for (const auto& price : prices) best.bottleneck = std::min(best.bottleneck, price.bottleneck);
  for (const auto& price : prices) {
    if (price.bottleneck > best.bottleneck * (1 + 1e-11)) continue;
    best.one_micro_batch = std::min(best.one_micro_batch, price.one_micro_batch);
  }
  return best;
}

}  // namespace strait::test
