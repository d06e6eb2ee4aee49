#pragma once
// MANIFEST: what a checkpoint folder holds, so that damage is found before anything is read from it.
//
// `sha256sum --check MANIFEST` verifies the files by hand. Lines that begin with # are ours: the format and
// the step, the size of the file in the next line, and last the checksum of all lines before it.

#include <cstdint>
#include <filesystem>

namespace strait::app {

/// Lists every file below `folder` in folder/MANIFEST; syncs the files, the folders and the manifest.
void write_manifest(const std::filesystem::path& folder, std::int64_t step);

/// Checks every file against folder/MANIFEST and returns the step. Throws Error(ExitCode::io) naming the
/// first file that is missing or differs.
std::int64_t verify_manifest(const std::filesystem::path& folder);

}  // namespace strait::app
