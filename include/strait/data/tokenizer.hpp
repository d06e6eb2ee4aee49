#pragma once
// Text to token ids and back.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace strait::data {

/// Used by one thread at a time.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  /// Ids are in [0, vocabulary).
  virtual std::int32_t vocabulary() const = 0;
  virtual std::int32_t end_of_document() const = 0;
  /// Error(ExitCode::io) where the tokenizer has no ids for such text.
  virtual std::vector<std::int32_t> encode(std::string_view text) const = 0;
  /// Ids that stand for no text, and ids beyond the vocabulary, are left out.
  virtual std::string decode(std::span<const std::int32_t> tokens) const = 0;
};

/// One id per byte, 0..255; 256 ends a document.
class ByteTokenizer final : public Tokenizer {
 public:
  std::int32_t vocabulary() const override { return 257; }
  std::int32_t end_of_document() const override { return 256; }
  std::vector<std::int32_t> encode(std::string_view text) const override;
  std::string decode(std::span<const std::int32_t> tokens) const override;
};

/// "bytes", the path of a SentencePiece .model, or of a tokenizer.json (Hugging Face tokenizers, BPE).
/// Error(ExitCode::io) where the file cannot be used, Error(ExitCode::environment) where this build lacks the
/// library for it, SentencePiece or PCRE2.
std::unique_ptr<Tokenizer> make_tokenizer(const std::string& name);

}  // namespace strait::data
