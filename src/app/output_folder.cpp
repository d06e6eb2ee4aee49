#include "strait/app/output_folder.hpp"

#include "strait/app/agreement.hpp"
#include "strait/core/communicator.hpp"

#include <cstdio>

namespace strait::app {

namespace fs = std::filesystem;

namespace {

bool goes_on(const std::optional<std::string>& restart, const fs::path& checkpoints) {
  if (!restart) return false;
  std::error_code ignored;
  // A missing checkpoint is refused when it is read.
  if (*restart == "latest" || !fs::exists(*restart, ignored)) return true;
  return fs::equivalent(fs::path(*restart) / "..", checkpoints, ignored);
}

}  // namespace

void open_output(MPI_Comm communicator, const fs::path& directory, CheckpointStore& store,
                 const std::optional<std::string>& restart) {
  const int rank = rank_of(communicator);
  const fs::path probe = directory / ".visible-to-all-ranks";
  agree(communicator, [&] {
    if (rank != 0) return;
    std::error_code error;
    const bool occupied = fs::exists(directory / "metrics.h5", error) || store.holds_any();
    if (occupied && !goes_on(restart, store.directory())) {
      fail(
          ExitCode::deck,
          "{}: holds a run already: go on with it by --restart latest, choose another folder by --output, or "
          "remove this one",
          directory.string());
    }
    fs::create_directories(directory, error);
    std::FILE* file = error ? nullptr : std::fopen(probe.c_str(), "w");
    if (file == nullptr) fail(ExitCode::io, "{}: the output folder cannot be written", directory.string());
    std::fclose(file);
    store.prepare();
  });
  agree(communicator, [&] {
    if (!fs::exists(probe)) {
      fail(ExitCode::environment, "{}: rank {} does not see the output folder of rank 0", directory.string(),
           rank);
    }
  });
  agree(communicator, [&] {
    if (rank == 0) fs::remove(probe);
  });
}

}  // namespace strait::app
