#include "strait/app/model_file.hpp"

#include "strait/app/agreement.hpp"
#include "strait/core/communicator.hpp"
#include "strait/io/hdf5.hpp"
#include "strait/model/parameter_io.hpp"
#include "strait/pipeline/in_flight.hpp"

#include <algorithm>
#include <optional>

namespace strait::app {

namespace {

constexpr const char* format_name = "strait-checkpoint";
constexpr std::int64_t format_version = 1;

std::string boundary_path(int boundary) { return fmt::format("boundary/{}", boundary); }

std::string anchors_path(int stage) { return fmt::format("anchors/{}", stage); }

bool is_anchor(const model::ParameterInfo& info) { return info.role == model::ParameterRole::anchor; }

template <class T>
bool has_anchors(pipeline::StageUnit<T>& unit) {
  const auto& entries = unit.stage().layout().entries();
  return std::any_of(entries.begin(), entries.end(), is_anchor);
}

/// Where weights lie in the file: anchors apart from the model's own. `anchors` is empty where the file has
/// none for this stage.
model::StoredName weight_name(const std::string& anchors) {
  return [anchors](const model::ParameterInfo& info) -> std::string {
    if (!is_anchor(info)) return "parameters/" + info.name;
    return anchors.empty() ? anchors : anchors + "/E";
  };
}

template <class T>
void save_anchors(const ExecutionSpace& exec, io::Group root, pipeline::StageUnit<T>& unit) {
  if (!has_anchors(unit)) return;
  auto group = root.require_group(anchors_path(unit.index()));
  group.set_attribute("first_layer", unit.stage().span().first_layer);
  group.set_attribute("last_layer", unit.stage().span().last_layer - 1);
  if (auto* sender = unit.sender()) {
    sender->save_anchors(exec, group);
  } else {
    unit.receiver()->save_anchors(exec, group);
  }
}

template <class T>
void save_unit(const ExecutionSpace& exec, io::Group root, pipeline::StageUnit<T>& unit) {
  model::save_parameters(exec, root, unit.stage().layout(), unit.stage().weights(),
                         weight_name(anchors_path(unit.index())));
  unit.optimizer().save(exec, root.require_group("optimizer"));
  save_anchors(exec, root, unit);
  if (auto* sender = unit.sender()) {
    auto group = root.require_group(boundary_path(unit.index()));
    group.set_attribute("after_layer", unit.stage().span().last_layer - 1);
    sender->save(exec, group);
  }
  if (auto* receiver = unit.receiver()) {
    receiver->save(exec, root.require_group(boundary_path(unit.index() - 1)));
  }
}

/// The group in `path` whose attribute `name` is `layer`.
std::optional<io::Group> group_at(const io::Group& root, const std::string& path, const std::string& name,
                                  int layer) {
  if (!root.is_group(path)) return std::nullopt;
  const auto groups = root.group(path);
  for (const auto& child : groups.children()) {
    auto group = groups.group(child);
    if (group.template attribute<std::int64_t>(name) == layer) return group;
  }
  return std::nullopt;
}

/// The groups of all boundaries in the file.
std::vector<io::Group> boundary_groups(const io::Group& root) {
  std::vector<io::Group> all;
  if (!root.is_group("boundary")) return all;
  const auto groups = root.group("boundary");
  for (const auto& child : groups.children()) all.push_back(groups.group(child));
  return all;
}

/// The anchors of the stage that ended at the same cut as this one, or else began at the same.
template <class T>
std::optional<io::Group> anchors_for(const io::Group& root, pipeline::StageUnit<T>& unit) {
  const auto span = unit.stage().span();
  auto found = unit.sender() ? group_at(root, "anchors", "last_layer", span.last_layer - 1) : std::nullopt;
  if (!found && unit.receiver()) found = group_at(root, "anchors", "first_layer", span.first_layer);
  return found;
}

/// Under which parameter the optimiser's state of each lies in the file.
model::StoredName state_name(const std::optional<io::Group>& anchors) {
  const std::string stage = anchors ? anchors->path().substr(std::string("/anchors/").size()) : "";
  return [stage](const model::ParameterInfo& info) -> std::string {
    if (!is_anchor(info)) return info.name;
    return stage.empty() ? stage : fmt::format("anchors.{}.weight", stage);
  };
}

template <class T>
void load_unit(const ExecutionSpace& exec, const io::Group& root, pipeline::StageUnit<T>& unit,
               std::vector<std::string>& notes) {
  const auto anchors = has_anchors(unit) ? anchors_for(root, unit) : std::nullopt;
  model::load_parameters(exec, root, unit.stage().layout(), unit.stage().weights(),
                         weight_name(anchors ? anchors->path().substr(1) : ""));
  unit.optimizer().load(exec, root.group("optimizer"), state_name(anchors));

  const int first_layer = unit.stage().span().first_layer;
  const int last_layer = unit.stage().span().last_layer - 1;
  if (has_anchors(unit) && !anchors) {
    notes.push_back(
        fmt::format("the anchors of layers {} to {} are new: they start afresh", first_layer, last_layer));
  }
  const std::vector<io::Group> boundaries = boundary_groups(root);
  const auto load_end = [&](auto* end, int after_layer) {
    const auto group = group_at(root, "boundary", "after_layer", after_layer);
    if (anchors) end->load_anchors(exec, *anchors);
    end->load_shared(exec, boundaries, notes);
    const bool loaded = group && end->load(exec, *group);
    return loaded || !end->keeps_state();
  };
  if (auto* sender = unit.sender(); sender && !load_end(sender, last_layer)) {
    notes.push_back(fmt::format("the boundary after layer {} is new: its codec starts afresh", last_layer));
  }
  if (auto* receiver = unit.receiver()) load_end(receiver, first_layer - 1);
}

}  // namespace

template <class T>
void save_model(const ExecutionSpace& exec, MPI_Comm communicator, const std::string& path,
                const RunState& state, Executors<T>& executors) {
  const int rank = rank_of(communicator);
  const int size = size_of(communicator);
  for (int turn = 0; turn < size; ++turn) {
    agree(communicator, [&] {
      if (rank != turn) return;
      auto file = turn == 0 ? io::File::create(path) : io::File::open_writable(path);
      auto root = file.root();
      if (turn == 0) {
        root.set_attribute("format", format_name);
        root.set_attribute("format_version", format_version);
        root.set_attribute("deck", state.deck);
        auto group = root.create_group("state");
        group.write("step", &state.step, {});
        group.write("tokens", &state.tokens, {});
        group.write("seed", &state.seed, {});
      }
      for (auto& executor : executors) {
        if (executor->replica() == 0) {  // the others hold the same, but for micro-batches in flight
          for (auto& unit : executor->units()) save_unit(exec, root, unit);
        }
        if (executor->asynchronous()) pipeline::save_in_flight(*executor, root.require_group("pipeline"));
      }
      file.close();
    });
  }
}

template <class T>
RunState load_model(const ExecutionSpace& exec, const std::string& path, Executors<T>& executors,
                    std::vector<std::string>& notes) {
  const auto file = io::File::open(path);
  const auto root = file.root();
  if (!root.has_attribute("format") || root.attribute<std::string>("format") != format_name ||
      root.attribute<std::int64_t>("format_version") != format_version) {
    fail(ExitCode::io, "{}: is not a {} file of version {}", path, format_name, format_version);
  }
  RunState state;
  const auto group = root.group("state");
  group.read("step", &state.step, {});
  group.read("tokens", &state.tokens, {});
  group.read("seed", &state.seed, {});
  state.deck = root.attribute<std::string>("deck");
  for (auto& executor : executors) {
    std::vector<std::string> repeated;
    for (auto& unit : executor->units()) {
      load_unit(exec, root, unit, executor->replica() == 0 ? notes : repeated);
      unit.stage().round_weights(state.step);
      unit.share_out_sums(std::nullopt);
    }
  }
  return state;
}

template <class T>
bool load_in_flight(const std::string& path, Executors<T>& executors, std::int64_t step,
                    bool same_micro_batches) {
  const auto file = io::File::open(path);
  const auto root = file.root();
  const bool present = same_micro_batches && root.is_group("pipeline");
  bool resumed = present;
  for (auto& executor : executors) {
    resumed = present && pipeline::load_in_flight(*executor, root.group("pipeline"), step);
    if (!resumed) executor->begin_at(step, step);
  }
  return resumed;
}

#define STRAIT_INSTANTIATE(T)                                                                       \
  template void save_model<T>(const ExecutionSpace&, MPI_Comm, const std::string&, const RunState&, \
                              Executors<T>&);                                                       \
  template bool load_in_flight<T>(const std::string&, Executors<T>&, std::int64_t, bool);           \
  template RunState load_model<T>(const ExecutionSpace&, const std::string&, Executors<T>&,         \
                                  std::vector<std::string>&);
STRAIT_INSTANTIATE(float)
STRAIT_INSTANTIATE(double)
#undef STRAIT_INSTANTIATE

}  // namespace strait::app
