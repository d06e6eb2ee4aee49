#pragma once
// Which weights a micro-batch meets where updates do not wait for the pipeline to drain: PipeDream (Narayanan
// et al. 2019) and 2BW (Narayanan et al. 2021).

#include <cstdint>
#include <string_view>

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

/// With stages s = 0 .. P - 1, micro-batches b from 0 on, m of them to update t = b / m (m = 1 but for
/// double_buffered, which needs m >= P):
///
///   rule             forward          backward     copies kept
///   stash            b - (P - 1 - s)  the same     P - s
///   vertical_sync    b - (P - 1)      the same     P
///   none             b - (P - 1 - s)  b            1
///   double_buffered  t - 1            the same     2
///
/// each at least `origin`. A pipeline of one stage has nothing in flight at an update: version t, one copy.
struct VersionRule {
  WeightVersions kind = WeightVersions::stash;
  int stages = 1;
  int micro_batches = 1;    ///< per update
  std::int64_t origin = 0;  ///< the version that the run began with, its pipeline empty

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
