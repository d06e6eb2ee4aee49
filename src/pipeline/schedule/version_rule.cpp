#include "strait/pipeline/version_rule.hpp"

#include "strait/core/error.hpp"

#include <algorithm>

namespace strait::pipeline {

WeightVersions weight_versions(std::string_view name) {
  if (name == "stash") return WeightVersions::stash;
  if (name == "vertical-sync") return WeightVersions::vertical_sync;
  ensure(name == "none", "a rule of weight versions that exists");
  return WeightVersions::none;
}

int VersionRule::warm_up(int stage) const {
  const Placement all = placement();
  return (all.ranks() - 1 - all.ranks_before(stage)) / all.replicas_of(stage);
}

int VersionRule::micro_batches_per_update(int stage) const {
  return kind == WeightVersions::double_buffered ? micro_batches : placement().replicas_of(stage);
}

std::int64_t VersionRule::forward(int stage, std::int64_t micro_batch) const {
  return std::max(origin * updates_per_step(stage),
                  micro_batch / micro_batches_per_update(stage) - delay(stage));
}

std::int64_t VersionRule::backward(int stage, std::int64_t micro_batch) const {
  if (kind != WeightVersions::none) return forward(stage, micro_batch);
  return micro_batch / micro_batches_per_update(stage);
}

int VersionRule::copies(int stage) const { return kind == WeightVersions::none ? 1 : delay(stage) + 1; }

int VersionRule::delay(int stage) const {
  switch (kind) {
    case WeightVersions::stash:
    case WeightVersions::none:
      return warm_up(stage);
    case WeightVersions::vertical_sync:
      return warm_up(0);
    case WeightVersions::double_buffered:
      return stages > 1 ? 1 : 0;
  }
  return 0;
}

}  // namespace strait::pipeline
