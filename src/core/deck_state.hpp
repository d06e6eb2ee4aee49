#pragma once
// What a deck holds and what has been read of it: the common state of a Deck and its Tables.

#include "deck_toml.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace strait::deck_detail {

/// One key as a component read it.
struct Read {
  std::string table;
  std::string key;
  std::string expected;  ///< "an integer", for messages and the reference
  std::string fallback;  ///< TOML, empty where the key is required
  std::string help;
  Value current;
};

struct State {
  std::string name;  ///< of the file
  std::string text;
  Contents contents;
  std::vector<std::string> known_tables;
  std::vector<Read> reads;

  const Entry* find(std::string_view table, std::string_view key) const;
  bool is_known(std::string_view table, std::string_view key) const;

  /// The value given for a key, or null; a table in its place is refused.
  const Value* given(std::string_view table, std::string_view key, std::string_view expected) const;

  /// The place of a key, else of its table, else the file.
  std::string place(std::string_view table, std::string_view key) const;

  [[noreturn]] void reject(std::string_view table, std::string_view key, std::string_view message) const;
  [[noreturn]] void refuse_missing(std::string_view table, std::string_view key,
                                   std::string_view expected) const;
  [[noreturn]] void refuse_unknown(const Entry& entry) const;

  void know_table(std::string path);
  void record(Read read);
};

/// "the integer 3"
std::string describe(const Value& value);

/// The closest of `candidates` by Levenshtein distance; empty where there are none.
std::string nearest(std::string_view name, const std::vector<std::string>& candidates);

std::size_t edit_distance(std::string_view a, std::string_view b);

}  // namespace strait::deck_detail
