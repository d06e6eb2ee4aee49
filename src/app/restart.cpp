#include "strait/app/restart.hpp"

#include "strait/app/agreement.hpp"
#include "strait/core/communicator.hpp"

#include <algorithm>
#include <cstdio>

namespace strait::app {

namespace {

bool shapes_training(std::string_view key) {
  for (const std::string_view table : {"output.", "checkpoint."}) {
    if (key.starts_with(table)) return false;
  }
  return key != "run.name" && key != "run.steps" && key != "run.time_limit";
}

std::string or_absent(const std::string& value) { return value.empty() ? "(absent)" : value; }

}  // namespace

std::optional<std::filesystem::path> choose_checkpoint(MPI_Comm communicator, CheckpointStore& store,
                                                       const std::string& from) {
  const int rank = rank_of(communicator);
  std::string path;
  agree(communicator, [&] {
    if (rank != 0) return;
    if (from != "latest") {
      path = store.open(from).path.string();
      return;
    }
    std::vector<std::string> warnings;
    const auto newest = store.find_latest(warnings);
    for (const auto& warning : warnings) std::fprintf(stderr, "strait: warning: %s\n", warning.c_str());
    if (newest) path = newest->path.string();
  });
  int length = static_cast<int>(path.size());
  MPI_Bcast(&length, 1, MPI_INT, 0, communicator);
  if (length == 0) return {};
  path.resize(static_cast<std::size_t>(length));
  MPI_Bcast(path.data(), length, MPI_CHAR, 0, communicator);
  return path;
}

std::vector<std::string> changed_keys(const Deck& deck, const std::string& stored) {
  std::vector<std::string> lines;
  for (const DeckDifference& difference : deck.differences(stored)) {
    if (!shapes_training(difference.key)) continue;
    lines.push_back(fmt::format("restart: {} {} -> {}", difference.key, or_absent(difference.before),
                                or_absent(difference.after)));
  }
  return lines;
}

bool same_micro_batches(const Deck& deck, const std::string& stored) {
  const auto differences = deck.differences(stored);
  return std::none_of(differences.begin(), differences.end(), [](const DeckDifference& difference) {
    const std::string& key = difference.key;
    const auto in = [&key](std::string_view prefix) { return key.starts_with(prefix); };
    // One rank may emulate the stages of several: their number is compared elsewhere.
    const bool of_ranks = key == "pipeline.stages" || key == "pipeline.emulate_stages";
    const bool of_updates =
        in("optimizer.") || in("training.validation") || key == "codec.diagnostics_interval";
    return shapes_training(key) && !of_ranks && !of_updates;
  });
}

}  // namespace strait::app
