#include "strait/pipeline/in_flight.hpp"

#include <fmt/ranges.h>

#include <string>

namespace strait::pipeline {
namespace {

std::string_view name(WeightVersions kind) {
  switch (kind) {
    case WeightVersions::stash:
      return "stash";
    case WeightVersions::vertical_sync:
      return "vertical-sync";
    case WeightVersions::none:
      return "none";
    case WeightVersions::double_buffered:
      return "2bw";
  }
  return "";
}

/// Of each stage; empty where it is one of each.
std::string replicas_text(const VersionRule& rule) {
  return fmt::format("{}", fmt::join(rule.replicas, "-"));
}

std::string stored_replicas(const io::Group& group) {
  return group.has_attribute("replicas") ? group.attribute<std::string>("replicas") : "";
}

/// Whether the same micro-batches are in flight at `step`.
bool as_full(const AsynchronousRun& left, const AsynchronousRun& right, std::int64_t step) {
  for (int stage = 0; stage < left.rule.stages; ++stage) {
    if (left.forwarded(stage, step) != right.forwarded(stage, step)) return false;
  }
  return true;
}

}  // namespace

template <class T>
void save_in_flight(Executor<T>& executor, io::Group group) {
  const AsynchronousRun& run = *executor.asynchronous();
  group.set_attribute("rule", std::string(name(run.rule.kind)));
  group.set_attribute("stages", run.rule.stages);
  group.set_attribute("micro_batches", run.rule.micro_batches);
  if (!run.rule.replicas.empty()) group.set_attribute("replicas", replicas_text(run.rule));
  group.set_attribute("origin", run.rule.origin);
  group.set_attribute("steps", run.steps);
  for (StageUnit<T>& unit : executor.units()) {
    unit.save_in_flight(group, run);
  }
}

template <class T>
bool load_in_flight(Executor<T>& executor, const io::Group& group, std::int64_t step) {
  AsynchronousRun run = *executor.asynchronous();
  const bool same_rule = group.attribute<std::string>("rule") == name(run.rule.kind) &&
                         group.attribute<std::int64_t>("stages") == run.rule.stages &&
                         group.attribute<std::int64_t>("micro_batches") == run.rule.micro_batches &&
                         stored_replicas(group) == replicas_text(run.rule);
  if (!same_rule) return false;
  run.rule.origin = group.attribute<std::int64_t>("origin");
  AsynchronousRun stored = run;
  stored.steps = group.attribute<std::int64_t>("steps");
  if (!as_full(stored, run, step)) return false;
  executor.begin_at(step, run.rule.origin);
  for (StageUnit<T>& unit : executor.units()) {
    unit.load_in_flight(group, run);
  }
  return true;
}

#define STRAIT_INSTANTIATE(T)                               \
  template void save_in_flight<T>(Executor<T>&, io::Group); \
  template bool load_in_flight<T>(Executor<T>&, const io::Group&, std::int64_t);
STRAIT_INSTANTIATE(float)
STRAIT_INSTANTIATE(double)
#undef STRAIT_INSTANTIATE

}  // namespace strait::pipeline
