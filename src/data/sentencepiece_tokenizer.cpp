#include "sentencepiece_tokenizer.hpp"

#include "strait/core/error.hpp"

#include "mapped_file.hpp"

#ifdef STRAIT_SENTENCEPIECE
#include <sentencepiece_processor.h>
#endif

namespace strait::data {

#ifdef STRAIT_SENTENCEPIECE
namespace {

class SentencePieceTokenizer final : public Tokenizer {
 public:
  explicit SentencePieceTokenizer(const std::string& path) : path_(path) {
    const MappedFile file(path);
    const auto bytes = file.bytes();
    const std::string_view model(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (!processor_.LoadFromSerializedProto(model).ok()) {
      fail(ExitCode::io, "{}: damaged, expected a SentencePiece model", path);
    }
    if (processor_.eos_id() < 0) {
      fail(ExitCode::io, "{}: no end-of-sentence piece, expected one to end documents with", path);
    }
  }

  std::int32_t vocabulary() const override { return processor_.GetPieceSize(); }
  std::int32_t end_of_document() const override { return processor_.eos_id(); }

  std::vector<std::int32_t> encode(std::string_view text) const override {
    std::vector<std::int32_t> tokens;
    check(processor_.Encode(text, &tokens));
    return tokens;
  }

  std::string decode(std::span<const std::int32_t> tokens) const override {
    std::vector<int> known;
    for (const std::int32_t token : tokens) {
      if (token >= 0 && token < vocabulary()) known.push_back(token);
    }
    std::string text;
    check(processor_.Decode(known, &text));
    return text;
  }

 private:
  void check(const sentencepiece::util::Status& status) const {
    if (!status.ok()) fail(ExitCode::io, "{}: {}", path_, status.ToString());
  }

  std::string path_;
  sentencepiece::SentencePieceProcessor processor_;
};

}  // namespace

std::unique_ptr<Tokenizer> load_sentencepiece(const std::string& path) {
  return std::make_unique<SentencePieceTokenizer>(path);
}

#else

std::unique_ptr<Tokenizer> load_sentencepiece(const std::string& path) {
  fail(ExitCode::environment, "{}: this build has no SentencePiece, expected tokenizer \"bytes\"", path);
}

#endif

}  // namespace strait::data
