#pragma once
// A TOML text as a flat list of values with their places.

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace strait::deck_detail {

struct Value {
  std::variant<bool, std::int64_t, double, std::string, std::vector<Value>> data;
};

/// "file:line:column" and its rank in reading order; overrides come after the file.
struct Place {
  std::string text;
  std::int64_t line = 0;
  std::int64_t column = 0;
};

/// `table` is the dotted path of the table, empty at the root.
struct Entry {
  std::string table;
  std::string key;
  Value value;
  Place place;
};

struct TableMark {
  std::string path;
  Place place;
};

struct Contents {
  std::vector<Entry> entries;
  std::vector<TableMark> tables;
};

/// Parses a deck. Throws Error(ExitCode::deck) with the place of the first syntax error.
Contents parse_toml(std::string_view text, const std::string& name);

/// Applies one "table.key=value" to `contents`.
void apply_override(Contents& contents, const std::string& assignment);

/// TOML for a value; doubles in the shortest form that reads back to the same bits.
std::string to_toml(const Value& value);

}  // namespace strait::deck_detail
