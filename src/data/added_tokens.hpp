#pragma once
// Tokens that are found in a text as they are, before anything else: "<|endoftext|>".

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace strait::data {

class AddedTokens {
 public:
  void add(std::string text, std::int32_t id);

  /// Gives `sink` the tokens of `text` with their ids and what lies between them with -1, in order: the
  /// leftmost token first, the longest among those that begin there.
  void split(std::string_view text, const std::function<void(std::string_view, std::int32_t)>& sink) const;

 private:
  struct Entry {
    std::string text;
    std::int32_t id;
  };
  std::array<std::vector<Entry>, 256> by_first_byte_;  ///< the longest first
};

}  // namespace strait::data
