#pragma once
// Checkpoint folders that are either whole or not there. Knows nothing of what is inside them.
//
//   auto pending = store.begin(step);       // DIR/.step_<n>.partial
//   ... write files into pending.path() ...
//   pending.commit();                       // synced, checksummed, renamed to DIR/step_<n>
//
// One process (rank 0) holds the store; others write into the same partial folder between begin and commit.
// A crash at any moment leaves the earlier checkpoints, or both, never none. Every failure is an
// Error(ExitCode::io) of one line.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace strait::app {

/// A checkpoint whose files are all as its MANIFEST says.
struct Checkpoint {
  std::filesystem::path path;
  std::int64_t step = 0;
};

class CheckpointStore;

/// A checkpoint being written: removed with everything in it unless committed.
class PendingCheckpoint {
 public:
  PendingCheckpoint(PendingCheckpoint&& other) noexcept;
  PendingCheckpoint& operator=(PendingCheckpoint&&) = delete;
  ~PendingCheckpoint();

  const std::filesystem::path& path() const { return path_; }

  /// Syncs every file, writes MANIFEST, gives the folder its final name (replacing one of the same step),
  /// names it in `latest`, and removes checkpoints beyond those to keep. On return the checkpoint survives a
  /// loss of power. When it throws, the partial folder is gone and earlier checkpoints are as they were.
  Checkpoint commit();

 private:
  friend class CheckpointStore;
  PendingCheckpoint(CheckpointStore& store, std::int64_t step, std::filesystem::path path);

  CheckpointStore* store_;
  std::int64_t step_;
  std::filesystem::path path_;  ///< empty once committed
};

class CheckpointStore {
 public:
  /// `directory` is DIR/checkpoints; the `keep` newest checkpoints stay (at least 1). Touches no file.
  CheckpointStore(std::filesystem::path directory, int keep);

  const std::filesystem::path& directory() const { return directory_; }

  /// Whether there is a checkpoint, whole or not.
  bool holds_any() const { return !steps().empty(); }

  /// Makes the folder, and puts right what a killed run left: partial folders go, a checkpoint that was being
  /// replaced comes back. Call once before anything is written or restarted from.
  void prepare();

  /// Where the checkpoint of `step` is written until it is committed.
  std::filesystem::path partial_path(std::int64_t step) const;

  /// Starts a checkpoint with an empty partial folder.
  PendingCheckpoint begin(std::int64_t step);

  /// The newest whole checkpoint, nothing where there is none at all. Checkpoints of later steps than the one
  /// in `latest` are what a run left that was restarted from before them: they come last. Appends one line
  /// to `warnings` for each damaged one that is passed over; throws when all are damaged.
  std::optional<Checkpoint> find_latest(std::vector<std::string>& warnings);

  /// The checkpoint in `path`; throws when it is missing or damaged.
  Checkpoint open(const std::filesystem::path& path);

 private:
  friend class PendingCheckpoint;

  std::filesystem::path final_path(std::int64_t step) const;
  std::vector<std::int64_t> steps() const;
  void publish(const std::filesystem::path& partial, std::int64_t step);
  void write_latest(std::int64_t step) const;
  std::optional<std::int64_t> read_latest() const;
  void discard(std::int64_t step) const;
  void prune(std::int64_t newest) const;

  std::filesystem::path directory_;
  int keep_;
  std::int64_t line_end_ = -1;  ///< the last checkpoint that this run continues or has written
};

}  // namespace strait::app
