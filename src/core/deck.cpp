#include "strait/core/deck.hpp"

#include "deck_convert.hpp"
#include "deck_state.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace strait {

using deck_detail::Convert;
using deck_detail::State;
using deck_detail::Value;

namespace {

/// Reads one key: `from` turns a Value into an optional T, `to` back. No fallback: the key is required.
template <class T, class From, class To>
T read(State& state, const std::string& table, std::string_view key, std::string_view help,
       const std::string& expected, const std::optional<T>& fallback, From from, To to) {
  std::optional<T> value = fallback;
  if (const Value* given = state.given(table, key, expected)) {
    value = from(*given);
    if (!value) state.reject(table, key, fmt::format("found {}, expected {}", describe(*given), expected));
  }
  if (!value) state.refuse_missing(table, key, expected);
  state.record({table, std::string(key), expected, fallback ? to_toml(to(*fallback)) : "", std::string(help),
                to(*value)});
  return *value;
}

std::string markdown_cell(const std::string& text) {
  std::string cell;
  for (const char c : text) {
    if (c == '|') cell += '\\';
    cell += c;
  }
  return cell;
}

}  // namespace

Table::Table(std::shared_ptr<State> state, std::string_view path) : state_(std::move(state)), path_(path) {
  state_->know_table(path_);
}

template <class T>
T Table::required(std::string_view key, std::string_view help) const {
  return read<T>(*state_, path_, key, help, Convert<T>::name, std::nullopt, Convert<T>::from, Convert<T>::to);
}

template <class T>
T Table::optional(std::string_view key, T fallback, std::string_view help) const {
  return read<T>(*state_, path_, key, help, Convert<T>::name, fallback, Convert<T>::from, Convert<T>::to);
}

std::string Table::optional(std::string_view key, const char* fallback, std::string_view help) const {
  return optional<std::string>(key, fallback, help);
}

template <class T>
std::optional<T> Table::automatic(std::string_view key, std::string_view help) const {
  using Choice = std::optional<T>;
  auto from = [](const Value& value) -> std::optional<Choice> {
    const auto* word = std::get_if<std::string>(&value.data);
    if (word && *word == "auto") return Choice();
    const Choice converted = Convert<T>::from(value);
    return converted ? std::optional<Choice>(converted) : std::nullopt;
  };
  auto to = [](const Choice& choice) {
    return choice ? Convert<T>::to(*choice) : Value{std::string("auto")};
  };
  return read<Choice>(*state_, path_, key, help, fmt::format("\"auto\" or {}", Convert<T>::name), Choice(),
                      from, to);
}

std::string Table::choice(std::string_view key, std::initializer_list<std::string_view> allowed,
                          std::string_view help) const {
  ensure(allowed.size() > 0, "Table::choice needs at least one allowed value");
  auto from = [&](const Value& value) -> std::optional<std::string> {
    const auto* word = std::get_if<std::string>(&value.data);
    if (!word || std::find(allowed.begin(), allowed.end(), *word) == allowed.end()) return std::nullopt;
    return *word;
  };
  const std::string expected = fmt::format("one of \"{}\"", fmt::join(allowed, "\", \""));
  return read<std::string>(*state_, path_, key, help, expected, std::string(*allowed.begin()), from,
                           Convert<std::string>::to);
}

std::vector<int> Table::one_or_list(std::string_view key, int fallback, std::string_view help) const {
  using List = std::vector<int>;
  auto from = [](const Value& value) -> std::optional<List> {
    if (const std::optional<int> one = Convert<int>::from(value)) return List{*one};
    return Convert<List>::from(value);
  };
  auto to = [](const List& list) {
    return list.size() == 1 ? Convert<int>::to(list.front()) : Convert<List>::to(list);
  };
  return read<List>(*state_, path_, key, help, "an integer or a list of integers", List{fallback}, from, to);
}

Table Table::table(std::string_view name) const { return {state_, fmt::format("{}.{}", path_, name)}; }

bool Table::has(std::string_view key) const { return state_->find(path_, key) != nullptr; }

void Table::reject(std::string_view key, std::string_view message) const {
  state_->reject(path_, key, message);
}

#define STRAIT_INSTANTIATE(T)                                                 \
  template T Table::required<T>(std::string_view, std::string_view) const;    \
  template T Table::optional<T>(std::string_view, T, std::string_view) const; \
  template std::optional<T> Table::automatic<T>(std::string_view, std::string_view) const;
STRAIT_INSTANTIATE(bool)
STRAIT_INSTANTIATE(int)
STRAIT_INSTANTIATE(std::int64_t)
STRAIT_INSTANTIATE(double)
STRAIT_INSTANTIATE(std::string)
STRAIT_INSTANTIATE(std::vector<std::string>)
STRAIT_INSTANTIATE(std::vector<int>)
STRAIT_INSTANTIATE(std::vector<double>)
#undef STRAIT_INSTANTIATE

Deck Deck::from_file(const std::string& path, const std::vector<std::string>& overrides) {
  std::error_code ignored;
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (std::filesystem::is_directory(path, ignored) || !file) {
    fail(ExitCode::deck, "{}: cannot read the deck, expected a TOML file", path);
  }
  text << file.rdbuf();
  return from_string(text.str(), path, overrides);
}

Deck Deck::from_string(const std::string& text, const std::string& name,
                       const std::vector<std::string>& overrides) {
  auto state = std::make_shared<State>();
  state->name = name;
  state->text = text;
  state->contents = deck_detail::parse_toml(text, name);
  for (const std::string& assignment : overrides) apply_override(state->contents, assignment);
  return Deck(std::move(state));
}

Table Deck::table(std::string_view name) const { return {state_, name}; }

void Deck::finish() const {
  const State& state = *state_;
  for (const deck_detail::Entry& entry : state.contents.entries) {
    if (!state.is_known(entry.table, entry.key)) state.refuse_unknown(entry);
  }
  for (const deck_detail::TableMark& mark : state.contents.tables) {
    const auto& known = state.known_tables;
    auto inside = [&](const std::string& path) { return (path + '.').rfind(mark.path + '.', 0) == 0; };
    if (std::none_of(known.begin(), known.end(), inside)) {
      fail(ExitCode::deck, "{}: [{}]: unknown table, the nearest known table is [{}]", mark.place.text,
           mark.path, deck_detail::nearest(mark.path, known));
    }
  }
}

std::string Deck::effective() const {
  std::string out;
  for (const std::string& table : state_->known_tables) {
    std::string keys;
    for (const deck_detail::Read& read : state_->reads) {
      if (read.table == table) keys += fmt::format("{} = {}\n", read.key, to_toml(read.current));
    }
    if (!keys.empty()) out += fmt::format("{}[{}]\n{}", out.empty() ? "" : "\n", table, keys);
  }
  return out;
}

std::vector<DeckDifference> Deck::differences(const std::string& effective) const {
  const deck_detail::Contents earlier = deck_detail::parse_toml(effective, "the earlier deck");
  std::vector<DeckDifference> differences;
  for (const deck_detail::Read& read : state_->reads) {
    const auto& entries = earlier.entries;
    const auto found = std::find_if(entries.begin(), entries.end(), [&](const deck_detail::Entry& entry) {
      return entry.table == read.table && entry.key == read.key;
    });
    const std::string before = found != entries.end() ? to_toml(found->value) : "";
    const std::string after = to_toml(read.current);
    if ((before.empty() ? read.fallback : before) == after) continue;
    differences.push_back({fmt::format("{}.{}", read.table, read.key), before, after});
  }
  for (const deck_detail::Entry& entry : earlier.entries) {
    if (state_->is_known(entry.table, entry.key)) continue;
    differences.push_back({fmt::format("{}.{}", entry.table, entry.key), to_toml(entry.value), ""});
  }
  return differences;
}

std::string Deck::reference() const {
  std::string out;
  for (const std::string& table : state_->known_tables) {
    std::string keys;
    for (const deck_detail::Read& read : state_->reads) {
      if (read.table != table) continue;
      const std::string fallback = read.fallback.empty() ? "required" : fmt::format("`{}`", read.fallback);
      keys += fmt::format("| `{}` | {} | {} | {} |\n", read.key, markdown_cell(read.expected),
                          markdown_cell(fallback), markdown_cell(read.help));
    }
    if (keys.empty()) continue;
    out += fmt::format("{}## [{}]\n\n| key | value | default | meaning |\n|---|---|---|---|\n{}",
                       out.empty() ? "" : "\n", table, keys);
  }
  return out;
}

const std::string& Deck::as_given() const { return state_->text; }

}  // namespace strait
