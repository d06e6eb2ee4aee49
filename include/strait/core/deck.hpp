#pragma once
// The TOML input deck. Each component reads its own table; what nobody reads is an error.
//
//   auto deck = Deck::from_file("quickstart.toml", {"run.steps=10"});
//   auto model = deck.table("model");
//   int layers = model.at_least("layers", model.required<int>("layers", "transformer blocks"), 1);
//   deck.finish();
//
// Every error is an Error(ExitCode::deck) of one line: "file:line:column: [table] key: what, expected what".

#include "strait/core/error.hpp"

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace strait {

namespace deck_detail {
struct State;
}

/// A light handle on one table of a deck; copies refer to the same deck.
///
/// T is one of bool, int, std::int64_t, double, std::string, or a std::vector of int, double or std::string.
/// Types are exact, except that an integer may stand for a double; an integer that does not fit is refused.
/// Each read registers its key with type, default, allowed values and help for effective() and reference().
class Table {
 public:
  /// The value of a key that must be there.
  template <class T>
  T required(std::string_view key, std::string_view help) const;

  /// The value of a key, or `fallback`.
  template <class T>
  T optional(std::string_view key, T fallback, std::string_view help) const;
  std::string optional(std::string_view key, const char* fallback, std::string_view help) const;

  /// A value of type T; nothing where the key is absent or "auto".
  template <class T>
  std::optional<T> automatic(std::string_view key, std::string_view help) const;

  /// One of `allowed`, of which the first is the default.
  std::string choice(std::string_view key, std::initializer_list<std::string_view> allowed,
                     std::string_view help) const;

  /// One integer (a list of length 1) or a list of integers.
  std::vector<int> one_or_list(std::string_view key, int fallback, std::string_view help) const;

  /// The table [this.name]; empty where the deck has none.
  Table table(std::string_view name) const;

  /// Whether the deck or an override gives the key. Registers nothing.
  bool has(std::string_view key) const;

  /// Refuses the value of `key`; the message says what is wrong and what was expected.
  [[noreturn]] void reject(std::string_view key, std::string_view message) const;

  /// These return `value`, or reject it.
  template <class T>
  T at_least(std::string_view key, T value, std::type_identity_t<T> bound) const {
    if (!(value >= bound)) reject(key, fmt::format("is {}, expected at least {}", value, bound));
    return value;
  }
  template <class T>
  T above(std::string_view key, T value, std::type_identity_t<T> bound) const {
    if (!(value > bound)) reject(key, fmt::format("is {}, expected more than {}", value, bound));
    return value;
  }
  template <class T>
  T between(std::string_view key, T value, std::type_identity_t<T> low, std::type_identity_t<T> high) const {
    if (!(value >= low && value <= high)) {
      reject(key, fmt::format("is {}, expected {} to {}", value, low, high));
    }
    return value;
  }

 private:
  friend class Deck;
  Table(std::shared_ptr<deck_detail::State> state, std::string_view path);

  std::shared_ptr<deck_detail::State> state_;
  std::string path_;
};

/// A key that two decks give different values, in TOML; empty where a deck lacks the key.
struct DeckDifference {
  std::string key;  ///< table.key
  std::string before;
  std::string after;
};

/// A parsed deck with its overrides applied.
class Deck {
 public:
  /// `overrides` are "table.key=value": a TOML value, else a bare string; the last of a key wins.
  static Deck from_file(const std::string& path, const std::vector<std::string>& overrides = {});
  /// `name` stands for the file in messages.
  static Deck from_string(const std::string& text, const std::string& name,
                          const std::vector<std::string>& overrides = {});

  /// The table `name`, with dots for nested ones; empty where the deck has none.
  Table table(std::string_view name) const;

  /// Refuses the first table or key that nobody has read, naming the nearest known one.
  void finish() const;

  /// Valid TOML: every key read so far with its value, in reading order. Reads back to the same deck.
  std::string effective() const;

  /// Keys read so far whose value is another in `effective`, the effective deck of an earlier run, and keys
  /// that are there alone. A key that is here alone counts as its default there.
  std::vector<DeckDifference> differences(const std::string& effective) const;

  /// Markdown tables of every key read so far: type, default, meaning.
  std::string reference() const;

  /// The text of the file, without overrides.
  const std::string& as_given() const;

 private:
  explicit Deck(std::shared_ptr<deck_detail::State> state) : state_(std::move(state)) {}

  std::shared_ptr<deck_detail::State> state_;
};

}  // namespace strait
