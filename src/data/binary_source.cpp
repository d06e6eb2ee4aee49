// The binary token formats of llm.c and nanoGPT.

#include "strait/core/error.hpp"
#include "strait/data/token_source.hpp"

#include "mapped_file.hpp"

#include <array>
#include <cstring>

namespace strait::data {
namespace {

constexpr std::int64_t llmc_header_bytes = 256 * sizeof(std::int32_t);
constexpr std::int32_t llmc_magic_uint16 = 20240520;
constexpr std::int32_t llmc_magic_uint32 = 20240801;

class BinarySource final : public TokenSource {
 public:
  /// `width`: bytes of a token, 2 or 4.
  BinarySource(const std::string& path, std::unique_ptr<MappedFile> file, std::int64_t header, int width)
      : TokenSource(path), file_(std::move(file)), tokens_(file_->bytes().data() + header), width_(width) {
    size_ = (static_cast<std::int64_t>(file_->bytes().size()) - header) / width;
  }

  std::int64_t size() const override { return size_; }

  void read(std::int64_t offset, std::span<std::int32_t> out) const override {
    ensure(offset >= 0 && offset + static_cast<std::int64_t>(out.size()) <= size_, "read inside the file");
    const std::byte* from = tokens_ + offset * width_;
    if (width_ == 4) {
      std::memcpy(out.data(), from, out.size_bytes());
      return;
    }
    for (std::size_t i = 0; i < out.size(); ++i) {
      std::uint16_t token;
      std::memcpy(&token, from + 2 * i, sizeof(token));
      out[i] = token;
    }
  }

 private:
  std::unique_ptr<MappedFile> file_;
  const std::byte* tokens_;
  int width_;
  std::int64_t size_;
};

}  // namespace

std::unique_ptr<TokenSource> open_llmc(const std::string& path) {
  auto file = std::make_unique<MappedFile>(path);
  const auto bytes = static_cast<std::int64_t>(file->bytes().size());
  std::array<std::int32_t, 3> header{};
  if (bytes >= llmc_header_bytes) std::memcpy(header.data(), file->bytes().data(), sizeof(header));
  const auto [magic, version, count] = header;
  if (bytes < llmc_header_bytes) {
    fail(ExitCode::io, "{}: truncated, expected a header of {} bytes, found {} bytes", path,
         llmc_header_bytes, bytes);
  }
  if (magic != llmc_magic_uint16 && magic != llmc_magic_uint32) {
    fail(ExitCode::io, "{}: not an llm.c token file, expected magic number {} or {}, found {}", path,
         llmc_magic_uint16, llmc_magic_uint32, magic);
  }
  const int expected_version = magic == llmc_magic_uint16 ? 1 : 7;
  if (version != expected_version) {
    fail(ExitCode::io, "{}: llm.c version {}, expected {}", path, version, expected_version);
  }
  if (count <= 0) fail(ExitCode::io, "{}: empty, the header counts {} tokens", path, count);
  const int width = magic == llmc_magic_uint16 ? 2 : 4;
  const std::int64_t expected_bytes = llmc_header_bytes + std::int64_t{count} * width;
  if (bytes != expected_bytes) {
    fail(ExitCode::io, "{}: {}, {} tokens need {} bytes, found {} bytes", path,
         bytes < expected_bytes ? "truncated" : "too long", count, expected_bytes, bytes);
  }
  return std::make_unique<BinarySource>(path, std::move(file), llmc_header_bytes, width);
}

std::unique_ptr<TokenSource> open_nanogpt(const std::string& path) {
  auto file = std::make_unique<MappedFile>(path);
  if (file->bytes().size() % 2 != 0) {
    fail(ExitCode::io, "{}: truncated, expected tokens of 2 bytes, found {} bytes", path,
         file->bytes().size());
  }
  return std::make_unique<BinarySource>(path, std::move(file), 0, 2);
}

}  // namespace strait::data
