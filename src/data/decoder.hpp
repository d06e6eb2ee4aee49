#pragma once
// From the pieces of tokens back to text.

#include "tokenizer_json.hpp"

#include <functional>
#include <string>
#include <vector>

namespace strait::data {

class Decoder {
 public:
  /// ByteLevel, Metaspace, Replace of a string, ByteFallback, Fuse, Strip and Sequences of them; other types
  /// are refused.
  static Decoder read(const JsonNode& node);

  /// Bytes that are no UTF-8 come back as they are.
  std::string apply(std::vector<std::string> pieces) const;

 private:
  void add(const JsonNode& node);

  std::vector<std::function<void(std::vector<std::string>&)>> steps_;
};

}  // namespace strait::data
