#pragma once
// What happens to a text before it is cut into words.

#include "tokenizer_json.hpp"

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace strait::data {

/// Every `from` in `text`, left to right, becomes `to`.
std::string replace_all(std::string_view text, std::string_view from, std::string_view to);

class Normalizer {
 public:
  /// Prepend, Replace of a string and Sequences of them; other types are refused.
  static Normalizer read(const JsonNode& node);

  bool empty() const { return steps_.empty(); }
  std::string apply(std::string text) const;

 private:
  void add(const JsonNode& node);

  std::vector<std::function<std::string(std::string)>> steps_;
};

}  // namespace strait::data
