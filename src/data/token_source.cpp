#include "strait/data/token_source.hpp"

#include "strait/core/error.hpp"

#include "mapped_file.hpp"

#include <array>
#include <cstring>
#include <filesystem>

namespace strait::data {

Format detect_format(const std::string& path) {
  const MappedFile file(path);
  const auto bytes = file.bytes();
  constexpr std::array<unsigned char, 8> hdf5_signature = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
  auto starts_with = [&](const void* pattern, std::size_t length) {
    return bytes.size() >= length && std::memcmp(bytes.data(), pattern, length) == 0;
  };
  if (starts_with(hdf5_signature.data(), hdf5_signature.size())) return Format::hdf5;
  for (const std::int32_t magic : {20240520, 20240801}) {
    if (starts_with(&magic, sizeof(magic))) return Format::llmc;
  }
  return std::filesystem::path(path).extension() == ".bin" ? Format::nanogpt : Format::text;
}

std::unique_ptr<TokenSource> open_source(const std::string& path, Format format, const Tokenizer& tokenizer) {
  switch (format == Format::automatic ? detect_format(path) : format) {
    case Format::llmc:
      return open_llmc(path);
    case Format::nanogpt:
      return open_nanogpt(path);
    case Format::hdf5:
      return open_hdf5(path);
    case Format::text:
      return open_text(path, tokenizer);
    case Format::automatic:
      break;
  }
  broken_invariant("a detected format is never automatic");
}

}  // namespace strait::data
