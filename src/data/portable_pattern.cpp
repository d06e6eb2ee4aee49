#include "text_pattern.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <vector>

namespace strait::data {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

class Translator {
 public:
  explicit Translator(std::string_view pattern) : rest_(pattern), whole_(pattern) {}

  std::string run() {
    while (!rest_.empty()) {
      if (rest_.front() == '\\') {
        escape();
      } else if (in_class_) {
        class_member();
      } else {
        item();
      }
    }
    return std::move(result_);
  }

 private:
  [[noreturn]] void refuse(std::size_t length) const {
    throw std::runtime_error(
        fmt::format("\"{}\" in the pattern {} is not supported", rest_.substr(0, length), whole_));
  }

  /// Moves characters to the result as they are.
  void keep(std::size_t length) {
    result_ += rest_.substr(0, length);
    rest_.remove_prefix(length);
  }

  void escape() {
    if (rest_.size() < 2) refuse(1);
    const char c = rest_[1];
    if (c == 'p' || c == 'P') return property();
    if (ignoring_case()) refuse(2);
    if (c == 's' || c == 'S') {
      // PCRE2's own \s has U+180E too, which is no white space since Unicode 6.3.
      result_ += c == 's' ? "\\p{White_Space}" : "\\P{White_Space}";
      rest_.remove_prefix(2);
      return;
    }
    const bool same = c == 'd' || c == 'D' || c == 'r' || c == 'n' || c == 't';
    const bool literal = c > ' ' && c <= '~' && !is_letter(c) && !is_digit(c);
    if (!same && !literal) refuse(2);
    keep(2);
  }

  /// General categories only: other names mean other sets.
  void property() {
    const std::size_t end = std::min(rest_.find('}'), rest_.size() - 1);
    const std::string_view all = rest_.substr(0, end + 1);
    const bool braced = all.size() > 4 && all[2] == '{' && all.back() == '}';
    const std::string_view name = braced ? all.substr(3, all.size() - 4) : std::string_view();
    const bool category = name.size() == 1 || (name.size() == 2 && name[1] >= 'a' && name[1] <= 'z');
    if (!category || ignoring_case() || std::string_view("CLMNPSZ").find(name[0]) == std::string_view::npos) {
      refuse(all.size());
    }
    keep(all.size());
  }

  void class_member() {
    // Oniguruma has sets of sets and intersections.
    if (rest_.front() == '[') refuse(1);
    if (rest_.starts_with("&&")) refuse(2);
    if (rest_.front() == ']') in_class_ = false;
    if (in_class_) check_case();
    keep(1);
  }

  void item() {
    switch (rest_.front()) {
      case '[':
        return begin_class();
      case '(':
        return begin_group();
      case ')':
        if (!groups_.empty()) groups_.pop_back();
        return keep(1);
      case '{':
        return repetition();
      case '^':
      case '$':
        refuse(1);  // of lines in one dialect, of the text in the other
      case '.':
        if (ignoring_case()) refuse(1);
        return keep(1);
      default:
        check_case();
        return keep(1);
    }
  }

  void begin_class() {
    const std::size_t start = rest_.starts_with("[^") ? 2 : 1;
    if (rest_.substr(start).starts_with("]") || (start == 2 && ignoring_case())) refuse(start + 1);
    in_class_ = true;
    keep(start);
  }

  void begin_group() {
    bool ignores_case = ignoring_case();
    std::size_t length = 1;
    if (rest_.starts_with("(?") || rest_.starts_with("(*")) {
      for (const std::string_view begin : {"(?:", "(?i:", "(?=", "(?!", "(?<=", "(?<!"}) {
        if (rest_.starts_with(begin)) length = begin.size();
      }
      if (length == 1) refuse(3);
      ignores_case = ignores_case || rest_[2] == 'i';
    }
    groups_.push_back(ignores_case);
    keep(length);
  }

  /// {m}, {m,} and {m,n}; a mark behind the brace means different things.
  void repetition() {
    std::size_t end = 1;
    while (end < rest_.size() && (is_digit(rest_[end]) || rest_[end] == ',')) ++end;
    const std::string_view numbers = rest_.substr(1, end - 1);
    const bool known = !numbers.empty() && is_digit(numbers[0]) && numbers.find(',') == numbers.rfind(',');
    const bool closed = end < rest_.size() && rest_[end] == '}';
    if (!known || !closed || (end + 1 < rest_.size() && (rest_[end + 1] == '+' || rest_[end + 1] == '?'))) {
      refuse(end + 1);
    }
    keep(end + 1);
  }

  bool ignoring_case() const { return !groups_.empty() && groups_.back(); }

  /// Without regard to case, ASCII letters are safe as long as no two of them make one character ("ss" and
  /// U+00DF, "fi" and U+FB01) that Oniguruma takes for equal and PCRE2 does not.
  void check_case() const {
    if (!ignoring_case()) return;
    if (static_cast<unsigned char>(rest_.front()) >= 0x80) refuse(1);
    if (rest_.size() < 2 || in_class_) return;
    constexpr std::array<std::string_view, 5> ligatures = {"ff", "fi", "fl", "ss", "st"};
    const std::array<char, 2> two = {static_cast<char>(rest_[0] | 0x20), static_cast<char>(rest_[1] | 0x20)};
    for (const std::string_view ligature : ligatures) {
      if (ligature == std::string_view(two.data(), 2)) refuse(2);
    }
  }

  std::string_view rest_, whole_;
  std::string result_;
  std::vector<bool> groups_;  ///< open ones: whether they ignore case
  bool in_class_ = false;
};

}  // namespace

std::string portable_pattern(std::string_view pattern) { return Translator(pattern).run(); }

}  // namespace strait::data
