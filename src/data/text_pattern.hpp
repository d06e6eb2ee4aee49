#pragma once
// Regular expressions of tokenizers: Oniguruma's dialect, run by PCRE2.

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace strait::data {

/// The same expression for PCRE2. Only constructs that mean the same in both are let through, the rest is a
/// std::runtime_error that names it: no silent difference in what a pattern finds.
std::string portable_pattern(std::string_view pattern);

class TextPattern {
 public:
  /// std::runtime_error where the pattern is wrong, not portable or may match nothing;
  /// Error(ExitCode::environment) where this build has no PCRE2.
  explicit TextPattern(std::string_view pattern);

  struct Match {
    std::size_t begin, end;
  };
  /// The first match in valid UTF-8 at or after `from`; begin = end = text.size() where there is none. From
  /// one thread at a time.
  Match find(std::string_view text, std::size_t from) const;

 private:
  struct Compiled;
  std::shared_ptr<const Compiled> compiled_;
};

}  // namespace strait::data
