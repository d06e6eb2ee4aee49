#pragma once
// Byte-pair encoding (Sennrich, Haddow & Birch, ACL 2016) of one word at a time.

#include "pair_table.hpp"

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace strait::data {

/// Of a string, found by string_view too.
struct TextHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};
using Vocabulary = std::unordered_map<std::string, std::int32_t, TextHash, std::equal_to<>>;

struct BpeRules {
  Vocabulary vocabulary;
  std::vector<std::pair<std::string, std::string>> merges;  ///< the first has priority
  bool bytes = false;                                       ///< words begin as bytes, else as characters
  bool byte_fallback = false;  ///< a character without id becomes its bytes, pieces "<0x00>" to "<0xFF>"
  std::optional<std::string> unknown;  ///< else this piece
  bool fuse_unknown = false;           ///< one for all of a run of such characters
  bool ignore_merges = false;          ///< a word that has an id is not taken apart
};

class BpeModel {
 public:
  /// Error as std::runtime_error where the rules contradict each other or could lose text.
  explicit BpeModel(BpeRules rules);

  /// What encode() needs; reused from word to word. One for each thread.
  class Workspace {
    friend class BpeModel;
    /// A part of the word: a list in its order.
    struct Symbol {
      std::int32_t id;
      std::int32_t previous, next;  ///< -1 at the ends
    };
    struct Candidate {
      std::uint32_t rank;
      std::int32_t position;
      std::int32_t left, right;  ///< the ids that meet there, while the candidate is still true
    };
    std::vector<Symbol> symbols;
    std::vector<Candidate> queue;
  };

  /// Appends the ids of `word`, valid UTF-8: the pair of the lowest rank is merged first, the leftmost among
  /// equals, until none is left. O(n log n) in the length of the word.
  void encode(std::string_view word, Workspace& workspace, std::vector<std::int32_t>& tokens) const;

  /// True where no merge joins a `mark` to what stands before it, unless that is a `mark` too: a text may be
  /// cut there without any effect on its ids.
  bool can_cut_before(std::string_view mark) const;

 private:
  std::int32_t id_of(std::string_view text) const;
  void split(std::string_view word, std::vector<Workspace::Symbol>& symbols) const;
  void merge(Workspace& workspace) const;
  void propose(Workspace& workspace, std::int32_t position) const;

  BpeRules rules_;
  PairTable ranks_;                           ///< of the pairs that are merged
  std::vector<std::int32_t> merged_;          ///< [rank] -> id
  std::array<std::int32_t, 256> single_{};    ///< ids of pieces of one byte, -1 for none
  std::array<std::int32_t, 256> fallback_{};  ///< ids of "<0x00>" to "<0xFF>", -1 for none
  std::int32_t unknown_ = -1;
};

}  // namespace strait::data
