#include "strait/data/tokenizer.hpp"

#include "hugging_face_tokenizer.hpp"
#include "sentencepiece_tokenizer.hpp"

namespace strait::data {

std::vector<std::int32_t> ByteTokenizer::encode(std::string_view text) const {
  std::vector<std::int32_t> tokens;
  tokens.reserve(text.size());
  for (const char c : text) tokens.push_back(static_cast<unsigned char>(c));
  return tokens;
}

std::string ByteTokenizer::decode(std::span<const std::int32_t> tokens) const {
  std::string text;
  for (const std::int32_t token : tokens) {
    if (token >= 0 && token < 256) text += static_cast<char>(token);
  }
  return text;
}

std::unique_ptr<Tokenizer> make_tokenizer(const std::string& name) {
  if (name == "bytes") return std::make_unique<ByteTokenizer>();
  return name.ends_with(".json") ? load_hugging_face(name) : load_sentencepiece(name);
}

}  // namespace strait::data
