#pragma once
// A whole file in memory, by reference.

#include <cstddef>
#include <span>
#include <string>

namespace strait::data {

class MappedFile {
 public:
  /// Error(ExitCode::io) where the file cannot be read or is empty.
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::span<const std::byte> bytes_;
};

}  // namespace strait::data
