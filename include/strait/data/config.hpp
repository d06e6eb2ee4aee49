#pragma once
// The [data] table of a deck.

#include "strait/core/deck.hpp"

#include <string>
#include <vector>

namespace strait::data {

enum class Format { automatic, llmc, nanogpt, text, hdf5 };
enum class Order { shuffled, sequential };

struct DataConfig {
  std::vector<std::string> train;       ///< file names or patterns, at least one
  std::vector<std::string> validation;  ///< may be empty
  Format format = Format::automatic;
  std::string tokenizer = "bytes";  ///< or the path of a SentencePiece .model or a tokenizer.json
  Order order = Order::shuffled;

  static DataConfig from_deck(Table table);
};

}  // namespace strait::data
