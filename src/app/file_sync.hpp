#pragma once
// File operations that survive a loss of power, with errors of one line.

#include <filesystem>
#include <string>

namespace strait::app {

/// Waits until the contents of a file, or the names in a folder, are on the disk.
void sync_to_disk(const std::filesystem::path& path);

/// Writes a small file and syncs it.
void write_synced(const std::filesystem::path& path, const std::string& text);

/// rename(2): replaces a file atomically.
void rename_path(const std::filesystem::path& from, const std::filesystem::path& to);

void remove_tree(const std::filesystem::path& path);

void make_directories(const std::filesystem::path& path);

}  // namespace strait::app
