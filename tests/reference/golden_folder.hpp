#pragma once
// Where the scripts of this folder wrote their files.

#include <filesystem>
#include <string>

namespace strait::test {

inline std::string golden_file(const std::string& name) {
  return (std::filesystem::path(__FILE__).parent_path() / "golden" / (name + ".h5")).string();
}

}  // namespace strait::test
