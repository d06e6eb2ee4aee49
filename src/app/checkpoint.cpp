#include "strait/app/checkpoint.hpp"

#include "strait/core/error.hpp"

#include "checkpoint_manifest.hpp"
#include "file_sync.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <tuple>
#include <utility>

namespace strait::app {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view prefix = "step_";

std::string folder_name(std::int64_t step) { return fmt::format("{}{}", prefix, step); }

/// The n of "step_<n>".
std::optional<std::int64_t> step_of(std::string_view name) {
  if (!name.starts_with(prefix)) return {};
  name.remove_prefix(prefix.size());
  std::int64_t step = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), step);
  if (error != std::errc() || end != name.data() + name.size() || step < 0) return {};
  return step;
}

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    names.push_back(entry->path().filename().string());
  }
  const bool absent = error == std::errc::no_such_file_or_directory || error == std::errc::not_a_directory;
  if (error && !absent) {
    fail(ExitCode::io, "{}: cannot list: {}", folder.string(), error.message());
  }
  return names;
}

/// Where step_<n> waits while a new one takes its name.
constexpr std::string_view replaced_suffix = ".replaced";
constexpr std::string_view partial_suffix = ".partial";

}  // namespace

PendingCheckpoint::PendingCheckpoint(CheckpointStore& store, std::int64_t step, fs::path path)
    : store_(&store), step_(step), path_(std::move(path)) {}

PendingCheckpoint::PendingCheckpoint(PendingCheckpoint&& other) noexcept
    : store_(other.store_), step_(other.step_), path_(std::exchange(other.path_, {})) {}

PendingCheckpoint::~PendingCheckpoint() {
  std::error_code ignored;
  if (!path_.empty()) fs::remove_all(path_, ignored);
}

Checkpoint PendingCheckpoint::commit() {
  ensure(!path_.empty(), "a checkpoint is committed once");
  write_manifest(path_, step_);
  store_->publish(path_, step_);
  path_.clear();
  // A crash here leaves a whole checkpoint that `latest` does not name. A restart takes the one that it names
  // (the first checkpoint of all, which `latest` cannot name yet, is taken as it is), comes to this step
  // again and replaces what is here: a later checkpoint may as well be left of another future, so it is never
  // preferred. The other order would name a checkpoint that is not there.
  store_->write_latest(step_);
  store_->prune(step_);
  store_->line_end_ = step_;
  return {store_->final_path(step_), step_};
}

CheckpointStore::CheckpointStore(fs::path directory, int keep)
    : directory_(std::move(directory)), keep_(keep) {
  ensure(keep >= 1, "at least one checkpoint is kept");
}

void CheckpointStore::prepare() {
  make_directories(directory_);
  for (const auto& name : names_in(directory_)) {
    const auto path = directory_ / name;
    if (name.starts_with('.') && name.ends_with(partial_suffix)) {
      remove_tree(path);
    } else if (name.starts_with('.') && name.ends_with(replaced_suffix)) {
      const auto original = directory_ / name.substr(1, name.size() - 1 - replaced_suffix.size());
      if (fs::exists(original)) {
        remove_tree(path);
      } else {
        rename_path(path, original);
      }
    }
  }
}

fs::path CheckpointStore::final_path(std::int64_t step) const { return directory_ / folder_name(step); }

fs::path CheckpointStore::partial_path(std::int64_t step) const {
  return directory_ / fmt::format(".{}{}", folder_name(step), partial_suffix);
}

PendingCheckpoint CheckpointStore::begin(std::int64_t step) {
  const auto path = partial_path(step);
  remove_tree(path);
  make_directories(path);
  return PendingCheckpoint(*this, step, path);
}

void CheckpointStore::publish(const fs::path& partial, std::int64_t step) {
  const auto path = final_path(step);
  const auto replaced = directory_ / fmt::format(".{}{}", folder_name(step), replaced_suffix);
  const bool replaces = fs::exists(path);
  if (replaces) {
    remove_tree(replaced);
    rename_path(path, replaced);
  }
  try {
    rename_path(partial, path);
  } catch (const Error&) {
    if (replaces) rename_path(replaced, path);
    throw;
  }
  sync_to_disk(directory_);
  if (replaces) remove_tree(replaced);
}

void CheckpointStore::write_latest(std::int64_t step) const {
  const auto partial = directory_ / fmt::format(".latest{}", partial_suffix);
  write_synced(partial, folder_name(step) + "\n");
  rename_path(partial, directory_ / "latest");
  sync_to_disk(directory_);
}

std::optional<std::int64_t> CheckpointStore::read_latest() const {
  std::ifstream file(directory_ / "latest");
  std::string name;
  file >> name;
  return step_of(name);
}

std::vector<std::int64_t> CheckpointStore::steps() const {
  std::vector<std::int64_t> result;
  for (const auto& name : names_in(directory_)) {
    if (const auto step = step_of(name)) result.push_back(*step);
  }
  std::sort(result.begin(), result.end());
  return result;
}

void CheckpointStore::discard(std::int64_t step) const {
  // Under its final name a folder is always whole, also when the removal is interrupted.
  rename_path(final_path(step), partial_path(step));
  remove_tree(partial_path(step));
}

void CheckpointStore::prune(std::int64_t newest) const {
  auto kept = steps();
  // Later steps belong to a run that was restarted from before them; they go when this run overtakes them.
  std::erase_if(kept, [&](std::int64_t step) { return step > newest; });
  const auto overtaken = [&](std::int64_t step) { return step > line_end_ && step < newest; };
  for (const auto step : kept) {
    if (overtaken(step)) discard(step);
  }
  std::erase_if(kept, overtaken);
  const auto excess = std::max<std::ptrdiff_t>(std::ssize(kept) - keep_, 0);
  for (std::ptrdiff_t i = 0; i < excess; ++i) discard(kept[static_cast<std::size_t>(i)]);
}

std::optional<Checkpoint> CheckpointStore::find_latest(std::vector<std::string>& warnings) {
  auto candidates = steps();
  const auto latest = read_latest().value_or(INT64_MAX);
  std::sort(candidates.begin(), candidates.end(), [&](std::int64_t a, std::int64_t b) {
    return std::make_tuple(a > latest, -a) < std::make_tuple(b > latest, -b);
  });
  for (const auto step : candidates) {
    try {
      return open(final_path(step));
    } catch (const Error& error) {
      warnings.emplace_back(error.what());
    }
  }
  if (!candidates.empty()) {
    fail(ExitCode::io, "{}: no checkpoint is whole; {}", directory_.string(), warnings.back());
  }
  return {};
}

Checkpoint CheckpointStore::open(const fs::path& path) {
  const auto step = verify_manifest(path);
  std::error_code ignored;
  if (fs::equivalent(path, final_path(step), ignored)) line_end_ = step;
  return {path, step};
}

}  // namespace strait::app
