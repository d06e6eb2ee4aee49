#include "strait/app/model_file.hpp"

#include "strait/app/agreement.hpp"
#include "strait/io/hdf5.hpp"
#include "strait/model/parameter_io.hpp"

#include <optional>

namespace strait::app {

namespace {

constexpr const char* format_name = "strait-checkpoint";
constexpr std::int64_t format_version = 1;

std::string boundary_path(int boundary) { return fmt::format("boundary/{}", boundary); }

template <class T>
void save_unit(const ExecutionSpace& exec, io::Group root, pipeline::StageUnit<T>& unit) {
  model::save_parameters(exec, root.require_group("parameters"), unit.stage().layout(),
                         unit.stage().weights());
  unit.optimizer().save(exec, root.require_group("optimizer"));
  if (auto* sender = unit.sender()) {
    auto group = root.require_group(boundary_path(unit.index()));
    group.set_attribute("after_layer", unit.stage().span().last_layer - 1);
    sender->save(exec, group);
  }
  if (auto* receiver = unit.receiver()) {
    receiver->save(exec, root.require_group(boundary_path(unit.index() - 1) + "/receiver"));
  }
}

/// The boundary of the file that follows `layer`.
std::optional<io::Group> boundary_after(const io::Group& root, int layer) {
  if (!root.is_group("boundary")) return std::nullopt;
  const auto boundaries = root.group("boundary");
  for (const auto& name : boundaries.children()) {
    auto group = boundaries.group(name);
    if (group.template attribute<std::int64_t>("after_layer") == layer) return group;
  }
  return std::nullopt;
}

template <class T>
void load_unit(const ExecutionSpace& exec, const io::Group& root, pipeline::StageUnit<T>& unit,
               std::vector<std::string>& notes) {
  model::load_parameters(exec, root.group("parameters"), unit.stage().layout(), unit.stage().weights());
  unit.optimizer().load(exec, root.group("optimizer"));

  const auto span = unit.stage().span();
  if (auto* sender = unit.sender()) {
    if (const auto group = boundary_after(root, span.last_layer - 1)) {
      sender->load(exec, *group);
    } else {
      notes.push_back(
          fmt::format("the boundary after layer {} is new: its codec starts afresh", span.last_layer - 1));
    }
  }
  if (auto* receiver = unit.receiver()) {
    const auto group = boundary_after(root, span.first_layer - 1);
    if (group && group->is_group("receiver")) receiver->load(exec, group->group("receiver"));
  }
}

}  // namespace

template <class T>
void save_model(const ExecutionSpace& exec, MPI_Comm communicator, const std::string& path,
                const RunState& state, const std::string& deck, Executors<T>& executors) {
  int rank = 0;
  int size = 1;
  MPI_Comm_rank(communicator, &rank);
  MPI_Comm_size(communicator, &size);
  for (int turn = 0; turn < size; ++turn) {
    agree(communicator, [&] {
      if (rank != turn) return;
      auto file = turn == 0 ? io::File::create(path) : io::File::open_writable(path);
      auto root = file.root();
      if (turn == 0) {
        root.set_attribute("format", format_name);
        root.set_attribute("format_version", format_version);
        root.set_attribute("deck", deck);
        auto group = root.create_group("state");
        group.write("step", &state.step, {});
        group.write("tokens", &state.tokens, {});
        group.write("seed", &state.seed, {});
      }
      for (auto& executor : executors) {
        for (auto& unit : executor->units()) save_unit(exec, root, unit);
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
  for (auto& executor : executors) {
    for (auto& unit : executor->units()) load_unit(exec, root, unit, notes);
  }
  RunState state;
  const auto group = root.group("state");
  group.read("step", &state.step, {});
  group.read("tokens", &state.tokens, {});
  group.read("seed", &state.seed, {});
  return state;
}

#define STRAIT_INSTANTIATE(T)                                                                       \
  template void save_model<T>(const ExecutionSpace&, MPI_Comm, const std::string&, const RunState&, \
                              const std::string&, Executors<T>&);                                   \
  template RunState load_model<T>(const ExecutionSpace&, const std::string&, Executors<T>&,         \
                                  std::vector<std::string>&);
STRAIT_INSTANTIATE(float)
STRAIT_INSTANTIATE(double)
#undef STRAIT_INSTANTIATE

}  // namespace strait::app
