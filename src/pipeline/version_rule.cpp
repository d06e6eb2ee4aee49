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

std::int64_t VersionRule::forward(int stage, std::int64_t micro_batch) const {
  return std::max(origin, micro_batch / micro_batches - delay(stage));
}

std::int64_t VersionRule::backward(int stage, std::int64_t micro_batch) const {
  return kind == WeightVersions::none ? std::max(origin, micro_batch) : forward(stage, micro_batch);
}

int VersionRule::copies(int stage) const { return kind == WeightVersions::none ? 1 : delay(stage) + 1; }

int VersionRule::delay(int stage) const {
  switch (kind) {
    case WeightVersions::stash:
    case WeightVersions::none:
      return stages - 1 - stage;
    case WeightVersions::vertical_sync:
      return stages - 1;
    case WeightVersions::double_buffered:
      return stages > 1 ? 1 : 0;
  }
  return 0;
}

}  // namespace strait::pipeline
