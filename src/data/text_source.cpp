// Text files: bytes straight from the mapped file, other tokenizers' ids from memory.

#include "strait/core/error.hpp"
#include "strait/data/token_source.hpp"

#include "mapped_file.hpp"

#include <algorithm>

namespace strait::data {
namespace {

/// The non-empty pieces between lines `<|endoftext|>`.
std::vector<std::string_view> split_documents(std::string_view text) {
  constexpr std::string_view separator = "<|endoftext|>";
  std::vector<std::string_view> documents;
  std::size_t begin = 0;
  auto add = [&](std::size_t end) {
    if (end > begin) documents.push_back(text.substr(begin, end - begin));
  };
  for (std::size_t at = 0; (at = text.find(separator, at)) != std::string_view::npos;) {
    std::size_t end = at + separator.size();
    const bool starts_line = at == 0 || text[at - 1] == '\n';
    if (text.substr(end, 1) == "\r") ++end;
    const bool ends_line = end == text.size() || text[end] == '\n';
    if (starts_line && ends_line) {
      add(at);
      begin = std::min(end + 1, text.size());
    }
    at = end;
  }
  add(text.size());
  return documents;
}

class ByteSource final : public TokenSource {
 public:
  ByteSource(const std::string& path, std::unique_ptr<MappedFile> file,
             std::vector<std::string_view> documents, std::int32_t end_of_document)
      : TokenSource(path),
        file_(std::move(file)),
        documents_(std::move(documents)),
        end_of_document_(end_of_document) {
    for (const std::string_view document : documents_) {
      starts_.push_back(size_);
      size_ += static_cast<std::int64_t>(document.size()) + 1;
    }
  }

  std::int64_t size() const override { return size_; }

  void read(std::int64_t offset, std::span<std::int32_t> out) const override {
    ensure(offset >= 0 && offset + static_cast<std::int64_t>(out.size()) <= size_, "read inside the file");
    const auto after = std::upper_bound(starts_.begin(), starts_.end(), offset);
    auto which = static_cast<std::size_t>(after - starts_.begin() - 1);
    auto within = static_cast<std::size_t>(offset - starts_[which]);
    for (std::size_t done = 0; done < out.size(); ++which, within = 0) {
      const std::string_view document = documents_[which];
      for (; within < document.size() && done < out.size(); ++within, ++done) {
        out[done] = static_cast<unsigned char>(document[within]);
      }
      if (done < out.size()) out[done++] = end_of_document_;
    }
  }

 private:
  std::unique_ptr<MappedFile> file_;
  std::vector<std::string_view> documents_;
  std::vector<std::int64_t> starts_;  ///< of each document, in tokens
  std::int32_t end_of_document_;
  std::int64_t size_ = 0;
};

class MemorySource final : public TokenSource {
 public:
  MemorySource(const std::string& path, std::vector<std::int32_t> tokens)
      : TokenSource(path), tokens_(std::move(tokens)) {}

  std::int64_t size() const override { return static_cast<std::int64_t>(tokens_.size()); }

  void read(std::int64_t offset, std::span<std::int32_t> out) const override {
    ensure(offset >= 0 && offset + static_cast<std::int64_t>(out.size()) <= size(), "read inside the file");
    std::copy_n(tokens_.begin() + offset, out.size(), out.begin());
  }

 private:
  std::vector<std::int32_t> tokens_;
};

}  // namespace

std::unique_ptr<TokenSource> open_text(const std::string& path, const Tokenizer& tokenizer) {
  auto file = std::make_unique<MappedFile>(path);
  const auto bytes = file->bytes();
  auto documents = split_documents({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  if (documents.empty()) fail(ExitCode::io, "{}: empty, expected text", path);
  if (dynamic_cast<const ByteTokenizer*>(&tokenizer)) {
    return std::make_unique<ByteSource>(path, std::move(file), std::move(documents),
                                        tokenizer.end_of_document());
  }
  std::vector<std::int32_t> tokens;
  try {
    for (const std::string_view document : documents) {
      const std::vector<std::int32_t> encoded = tokenizer.encode(document);
      tokens.insert(tokens.end(), encoded.begin(), encoded.end());
      tokens.push_back(tokenizer.end_of_document());
    }
  } catch (const Error& error) {
    fail(error.code(), "{}: {}", path, error.what());
  }
  return std::make_unique<MemorySource>(path, std::move(tokens));
}

}  // namespace strait::data
