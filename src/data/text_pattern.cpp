#include "text_pattern.hpp"

#include "strait/core/error.hpp"

#ifdef STRAIT_PCRE2
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#endif

#include <array>
#include <stdexcept>

namespace strait::data {

#ifdef STRAIT_PCRE2
namespace {

std::string message_of(int code) {
  std::array<unsigned char, 256> text{};
  pcre2_get_error_message(code, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

}  // namespace

struct TextPattern::Compiled {
  struct Free {
    void operator()(pcre2_compile_context* context) const { pcre2_compile_context_free(context); }
    void operator()(pcre2_code* code) const { pcre2_code_free(code); }
    void operator()(pcre2_match_data* match) const { pcre2_match_data_free(match); }
  };

  explicit Compiled(const std::string& pattern) {
    const std::unique_ptr<pcre2_compile_context, Free> context(pcre2_compile_context_create(nullptr));
    pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);  // what '.' does not match
    int code = 0;
    std::size_t at = 0;
    expression.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                                   PCRE2_UTF | PCRE2_UCP, &code, &at, context.get()));
    if (!expression) {
      throw std::runtime_error(fmt::format("the pattern {}: {} at {}", pattern, message_of(code), at));
    }
    std::uint32_t may_be_empty = 0;
    pcre2_pattern_info(expression.get(), PCRE2_INFO_MATCHEMPTY, &may_be_empty);
    if (may_be_empty) throw std::runtime_error(fmt::format("the pattern {} matches nothing too", pattern));
    pcre2_jit_compile(expression.get(), PCRE2_JIT_COMPLETE);  // where there is no JIT, the interpreter runs
    match.reset(pcre2_match_data_create_from_pattern(expression.get(), nullptr));
  }

  std::unique_ptr<pcre2_code, Free> expression;
  std::unique_ptr<pcre2_match_data, Free> match;
};

TextPattern::TextPattern(std::string_view pattern)
    : compiled_(std::make_shared<Compiled>(portable_pattern(pattern))) {}

TextPattern::Match TextPattern::find(std::string_view text, std::size_t from) const {
  const int found = pcre2_match(compiled_->expression.get(), reinterpret_cast<PCRE2_SPTR>(text.data()),
                                text.size(), from, PCRE2_NO_UTF_CHECK, compiled_->match.get(), nullptr);
  if (found == PCRE2_ERROR_NOMATCH) return {text.size(), text.size()};
  if (found < 0) throw std::runtime_error(fmt::format("regular expression: {}", message_of(found)));
  const std::size_t* range = pcre2_get_ovector_pointer(compiled_->match.get());
  return {range[0], range[1]};
}

#else

struct TextPattern::Compiled {};

TextPattern::TextPattern(std::string_view) {
  fail(ExitCode::environment, "this build has no PCRE2, which the tokenizer's regular expressions need");
}

TextPattern::Match TextPattern::find(std::string_view, std::size_t) const {
  broken_invariant("no pattern exists without PCRE2");
}

#endif

}  // namespace strait::data
