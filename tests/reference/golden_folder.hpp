#pragma once
// Where the scripts of this folder wrote their files.

#include <cstdlib>
#include <filesystem>
#include <string>

namespace strait::test {

/// Under the source folder that CTest names; a test started by hand takes the path it was compiled from.
inline std::string golden_file(const std::string& name, const std::string& extension = ".h5") {
  const char* source = std::getenv("STRAIT_SOURCE_DIR");
  const auto folder = source ? std::filesystem::path(source) / "tests" / "reference"
                             : std::filesystem::path(__FILE__).parent_path();
  return (folder / "golden" / (name + extension)).string();
}

}  // namespace strait::test
