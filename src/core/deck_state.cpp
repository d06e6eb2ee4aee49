#include "deck_state.hpp"

#include "strait/core/error.hpp"

#include <algorithm>
#include <numeric>

namespace strait::deck_detail {

const Entry* State::find(std::string_view table, std::string_view key) const {
  for (const Entry& entry : contents.entries) {
    if (entry.table == table && entry.key == key) return &entry;
  }
  return nullptr;
}

bool State::is_known(std::string_view table, std::string_view key) const {
  return std::any_of(reads.begin(), reads.end(),
                     [&](const Read& read) { return read.table == table && read.key == key; });
}

const Value* State::given(std::string_view table, std::string_view key, std::string_view expected) const {
  const std::string path = fmt::format("{}.{}", table, key);
  for (const TableMark& mark : contents.tables) {
    if (mark.path == path) {
      fail(ExitCode::deck, "{}: [{}] {}: found a table, expected {}", mark.place.text, table, key, expected);
    }
  }
  const Entry* entry = find(table, key);
  return entry ? &entry->value : nullptr;
}

std::string State::place(std::string_view table, std::string_view key) const {
  if (const Entry* entry = find(table, key)) return entry->place.text;
  for (const TableMark& mark : contents.tables) {
    if (mark.path == table) return mark.place.text;
  }
  return name;
}

void State::reject(std::string_view table, std::string_view key, std::string_view message) const {
  fail(ExitCode::deck, "{}: [{}] {}: {}", place(table, key), table, key, message);
}

void State::refuse_missing(std::string_view table, std::string_view key, std::string_view expected) const {
  // A misspelt required key, or its misspelt table, shows up here, before finish() can find it.
  constexpr std::size_t one_slip = 2;
  const auto& tables = contents.tables;
  const auto is_this = [&](const TableMark& mark) { return mark.path == table; };
  const auto resembles = [&](const TableMark& mark) {
    const bool is_read = std::find(known_tables.begin(), known_tables.end(), mark.path) != known_tables.end();
    return !is_read && edit_distance(mark.path, table) <= one_slip;
  };
  const auto misspelt = std::find_if(tables.begin(), tables.end(), resembles);
  if (misspelt != tables.end() && std::none_of(tables.begin(), tables.end(), is_this)) {
    fail(ExitCode::deck, "{}: [{}]: unknown table, the nearest known table is [{}]", misspelt->place.text,
         misspelt->path, table);
  }
  for (const Entry& entry : contents.entries) {
    if (entry.table == table && !is_known(table, entry.key) && edit_distance(entry.key, key) <= one_slip) {
      fail(ExitCode::deck, "{}: [{}] {}: missing, expected {}; the nearest given key is {}", entry.place.text,
           table, key, expected, entry.key);
    }
  }
  reject(table, key, fmt::format("missing, expected {}", expected));
}

void State::refuse_unknown(const Entry& entry) const {
  std::vector<std::string> keys;
  std::string home;
  for (const Read& read : reads) {
    if (read.table == entry.table) keys.push_back(read.key);
    if (read.key == entry.key) home = read.table;
  }
  const std::string& where = entry.place.text;
  if (!home.empty()) {
    fail(ExitCode::deck, "{}: [{}] {}: unknown key, expected in [{}]", where, entry.table, entry.key, home);
  }
  if (!keys.empty()) {
    fail(ExitCode::deck, "{}: [{}] {}: unknown key, the nearest known key is {}", where, entry.table,
         entry.key, nearest(entry.key, keys));
  }
  if (std::find(known_tables.begin(), known_tables.end(), entry.table) != known_tables.end()) {
    fail(ExitCode::deck, "{}: [{}] {}: unknown key, expected none in this table", where, entry.table,
         entry.key);
  }
  fail(ExitCode::deck, "{}: [{}] {}: unknown table, the nearest known table is [{}]", where, entry.table,
       entry.key, nearest(entry.table, known_tables));
}

void State::know_table(std::string path) {
  if (std::find(known_tables.begin(), known_tables.end(), path) == known_tables.end()) {
    known_tables.push_back(std::move(path));
  }
}

void State::record(Read read) {
  if (!is_known(read.table, read.key)) reads.push_back(std::move(read));
}

std::string describe(const Value& value) {
  struct Kind {
    const char* operator()(bool) const { return "the boolean"; }
    const char* operator()(std::int64_t) const { return "the integer"; }
    const char* operator()(double) const { return "the float"; }
    const char* operator()(const std::string&) const { return "the string"; }
    const char* operator()(const std::vector<Value>&) const { return "the list"; }
  };
  return fmt::format("{} {}", std::visit(Kind{}, value.data), to_toml(value));
}

std::string nearest(std::string_view name, const std::vector<std::string>& candidates) {
  auto closer = [&](const std::string& a, const std::string& b) {
    return edit_distance(name, a) < edit_distance(name, b);
  };
  auto best = std::min_element(candidates.begin(), candidates.end(), closer);
  return best == candidates.end() ? std::string() : *best;
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t substituted = diagonal + (a[i] != b[j] ? 1 : 0);
      diagonal = row[j + 1];
      row[j + 1] = std::min({substituted, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

}  // namespace strait::deck_detail
