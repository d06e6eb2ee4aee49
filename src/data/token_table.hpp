#pragma once
// All tokens of a tokenizer.json by id.

#include "added_tokens.hpp"
#include "bpe_model.hpp"
#include "normalizer.hpp"
#include "tokenizer_json.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace strait::data {

struct TokenTable {
  /// Reads model.vocab and added_tokens: every id from 0 to the last must have exactly one token.
  static TokenTable read(const JsonNode& file, const Normalizer& normalizer);

  /// The token that ends documents in the vocabularies of this family, the first of a few names.
  std::int32_t end_of_document() const;

  /// The pieces of `tokens`; special tokens and unknown ids have none.
  std::vector<std::string> pieces(std::span<const std::int32_t> tokens) const;

  Vocabulary ids;
  std::vector<std::string> texts;  ///< [id]
  std::vector<bool> special;       ///< [id], stands for no text
  AddedTokens raw;                 ///< searched for in the text as it is
  AddedTokens normalized;          ///< searched for in the normalised text

 private:
  void add_token(const JsonNode& node, const Normalizer& normalizer);
};

}  // namespace strait::data
