#pragma once
// One file as a sequence of token ids. Files are memory-mapped where their format allows it.

#include "strait/data/config.hpp"
#include "strait/data/tokenizer.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace strait::data {

/// Opening a missing, empty, truncated or foreign file is an Error(ExitCode::io) that names it.
class TokenSource {
 public:
  explicit TokenSource(std::string path) : path_(std::move(path)) {}
  virtual ~TokenSource() = default;
  TokenSource(const TokenSource&) = delete;
  TokenSource& operator=(const TokenSource&) = delete;

  const std::string& path() const { return path_; }
  /// Tokens, at least one.
  virtual std::int64_t size() const = 0;
  /// Tokens [offset, offset + out.size()), which must be inside the file.
  virtual void read(std::int64_t offset, std::span<std::int32_t> out) const = 0;

 private:
  std::string path_;
};

/// What a file is by its first bytes, else by its name: llm.c's magic number, HDF5's signature, then `.bin`
/// for nanoGPT; anything else is text.
Format detect_format(const std::string& path);

/// llm.c `.bin`: 256 int32 of header (magic 20240520 with version 1 for uint16 tokens, 20240801 with 7 for
/// uint32; then the count), then the tokens.
std::unique_ptr<TokenSource> open_llmc(const std::string& path);

/// nanoGPT `.bin`: raw uint16.
std::unique_ptr<TokenSource> open_nanogpt(const std::string& path);

/// Text. Documents end where the file ends and at each line `<|endoftext|>`; each document is followed by
/// the tokenizer's end of document, empty ones are left out. Bytes stay in the mapped file; other
/// tokenizers' ids are held in memory.
std::unique_ptr<TokenSource> open_text(const std::string& path, const Tokenizer& tokenizer);

/// HDF5: the dataset /tokens [count] of uint8, uint16 or int32.
std::unique_ptr<TokenSource> open_hdf5(const std::string& path);

std::unique_ptr<TokenSource> open_source(const std::string& path, Format format, const Tokenizer& tokenizer);

}  // namespace strait::data
