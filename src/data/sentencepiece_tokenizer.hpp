#pragma once

#include "strait/data/tokenizer.hpp"

namespace strait::data {

/// A SentencePiece model (Kudo & Richardson, EMNLP 2018) from its .model file.
std::unique_ptr<Tokenizer> load_sentencepiece(const std::string& path);

}  // namespace strait::data
