#pragma once
// Writes token files for tests.

#include <array>
#include <cstdint>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

namespace strait::test {

inline void write_bytes(const std::string& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

template <class T>
std::string bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

/// The file of llm.c: T is std::uint16_t or std::uint32_t.
template <class T>
std::string llmc_bytes(const std::vector<T>& tokens) {
  std::vector<std::int32_t> header(256);
  header[0] = sizeof(T) == 2 ? 20240520 : 20240801;
  header[1] = sizeof(T) == 2 ? 1 : 7;
  header[2] = static_cast<std::int32_t>(tokens.size());
  return bytes_of(header) + bytes_of(tokens);
}

/// nanoGPT's file of 0, 1, 2, ... count - 1.
inline void write_counting_tokens(const std::string& path, int count) {
  std::vector<std::uint16_t> tokens;
  for (int i = 0; i < count; ++i) tokens.push_back(static_cast<std::uint16_t>(i));
  write_bytes(path, bytes_of(tokens));
}

}  // namespace strait::test
