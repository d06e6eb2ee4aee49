#include "strait/pipeline/machine.hpp"

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

namespace strait::pipeline {
namespace {

MachineLevel read_level(const Table& table, const std::string& name) {
  MachineLevel level;
  level.name = name;
  level.components = table.between(
      "components", table.required<int>("components", "ranks, or groups of the level below, that it joins"),
      1, most_ranks);
  level.bandwidth = table.above("bandwidth", table.required<double>("bandwidth", "bit/s, one way"), 0.0);
  level.latency =
      table.at_least("latency", table.optional("latency", 0.0, "seconds of an empty message, one way"), 0.0);
  level.duplex = table.optional("duplex", true, "both ways at once at full bandwidth; false: they share it");
  return level;
}

/// One speed per rank, from one per rank or one per component of the outermost level.
std::vector<double> speed_of_ranks(const Table& table, const Machine& machine) {
  const auto given = table.optional<std::vector<double>>(
      "speed", {}, "of each rank, or of the ranks of each outermost component, relative to the profiled one");
  for (const double speed : given) table.above("speed", speed, 0.0);
  const auto count = static_cast<int>(given.size());
  const int components = machine.levels.back().components;
  if (count != 0 && count != machine.ranks() && count != components) {
    table.reject(
        "speed",
        fmt::format("lists {} numbers, expected {} (one per rank){}", count, machine.ranks(),
                    components == machine.ranks() ? ""
                                                  : fmt::format(" or {} (one per {} component)", components,
                                                                machine.levels.back().name)));
  }
  std::vector<double> speed;
  for (int rank = 0; count != 0 && rank < machine.ranks(); ++rank) {
    speed.push_back(given[static_cast<std::int64_t>(rank) * count / machine.ranks()]);
  }
  return speed;
}

}  // namespace

int Machine::ranks() const {
  int ranks = 1;
  for (const MachineLevel& level : levels) ranks *= level.components;
  return ranks;
}

const MachineLevel& Machine::link(int a, int b) const {
  ensure(a != b && !levels.empty(), "two ranks of a machine meet on a link");
  int size = 1;
  for (const MachineLevel& level : levels) {
    size *= level.components;
    if (a / size == b / size) return level;
  }
  return levels.back();
}

Machine Machine::from_deck(Table table) {
  Machine machine;
  const auto names =
      table.required<std::vector<std::string>>("levels", "names of the levels, innermost first");
  if (names.empty()) table.reject("levels", "is empty, expected at least one name");
  std::set<std::string> seen;
  std::int64_t ranks = 1;
  for (const std::string& name : names) {
    if (name.empty() || !seen.insert(name).second) {
      table.reject("levels", fmt::format("names \"{}\" {}, expected different names", name,
                                         name.empty() ? "a level" : "twice"));
    }
    machine.levels.push_back(read_level(table.table(name), name));
    ranks *= machine.levels.back().components;
    if (ranks > most_ranks) {
      table.table(name).reject("components",
                               fmt::format("makes {} ranks, expected at most {}", ranks, most_ranks));
    }
  }
  machine.memory_bytes = static_cast<std::int64_t>(
      table.between("memory", table.optional("memory", 0.0, "bytes of each rank; 0: no limit"), 0.0, 1e18));
  machine.speed = speed_of_ranks(table, machine);
  return machine;
}

Machine Machine::from_file(const std::string& path) {
  std::error_code ignored;
  std::ifstream file(path, std::ios::binary);
  if (std::filesystem::is_directory(path, ignored) || !file) {
    fail(ExitCode::io, "{}: cannot read the machine, expected a TOML file", path);
  }
  std::ostringstream text;
  text << file.rdbuf();
  const Deck deck = Deck::from_string(text.str(), path);
  Machine machine = from_deck(deck.table("machine"));
  deck.finish();
  return machine;
}

}  // namespace strait::pipeline
