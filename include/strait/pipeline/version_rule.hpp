#pragma once
// Which weights a micro-batch meets where updates do not wait for the pipeline to drain: PipeDream (Narayanan
// et al. 2019) and 2BW (Narayanan et al. 2021).

#include "strait/pipeline/placement.hpp"

#include <cstdint>
#include <string_view>
#include <vector>

namespace strait::pipeline {

/// Version v of a stage's weights has seen v updates of the run.
enum class WeightVersions {
  stash,           ///< the backward of a micro-batch uses the weights of its forward, as each stage had them
  vertical_sync,   ///< forward and backward use one version on all stages
  none,            ///< the forward uses the newest weights, the backward the newest by then
  double_buffered  ///< all micro-batches of an update use the version before the newest: one update late
};

/// `name` of [pipeline] weight_versions: stash, vertical-sync or none.
WeightVersions weight_versions(std::string_view name);

/// Stages s = 0 .. P - 1 of R ranks. Micro-batch b goes to replica b modulo r of a stage with r replicas,
/// which updates its weights by the mean gradient of m micro-batches: m = r, one of each replica, but for
/// double_buffered, where m is all of a step's, at least R of them. Versions are counted in the stage's own
/// updates, u = floor(b / m), and with the warm-up w = floor((R - 1 - ranks before the stage) / r), which is
/// P - 1 - s without replicas:
///
///   rule             forward  backward  copies kept
///   stash            u - w    the same  w + 1
///   vertical_sync    u - w_0  the same  w_0 + 1    w_0: of the first stage; all have as many replicas
///   none             u - w    u         1
///   double_buffered  u - 1    the same  2
///
/// each at least the version that the run began with. A pipeline of one stage has nothing in flight at an
/// update: version u, one copy.
struct VersionRule {
  WeightVersions kind = WeightVersions::stash;
  int stages = 1;
  int micro_batches = 1;           ///< per step: whole updates of every stage
  std::int64_t origin = 0;         ///< the step that the run began with, its pipeline empty
  std::vector<int> replicas = {};  ///< of each stage; empty: one of each

  Placement placement() const { return {stages, 1, replicas}; }

  /// w: forwards of each replica of a stage before its first backward.
  int warm_up(int stage) const;
  /// m
  int micro_batches_per_update(int stage) const;
  int updates_per_step(int stage) const { return micro_batches / micro_batches_per_update(stage); }

  /// Micro-batches are counted from the one that step 0 begins with.
  std::int64_t forward(int stage, std::int64_t micro_batch) const;
  std::int64_t backward(int stage, std::int64_t micro_batch) const;

  /// Versions that exist at once, the newest among them.
  int copies(int stage) const;

  /// Updates between the version that a gradient's forward used and the one that it makes, less one; 0 in
  /// synchronous training. While the pipeline fills it is less.
  int delay(int stage) const;

  bool operator==(const VersionRule&) const = default;
};

}  // namespace strait::pipeline
