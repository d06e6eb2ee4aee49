#include "added_tokens.hpp"

#include <algorithm>

namespace strait::data {

void AddedTokens::add(std::string text, std::int32_t id) {
  auto& entries = by_first_byte_[static_cast<unsigned char>(text.front())];
  const auto shorter = [&](const Entry& entry) { return entry.text.size() < text.size(); };
  entries.insert(std::find_if(entries.begin(), entries.end(), shorter), {text, id});
}

void AddedTokens::split(std::string_view text,
                        const std::function<void(std::string_view, std::int32_t)>& sink) const {
  std::size_t begin = 0;  // of what no token covers
  for (std::size_t at = 0; at < text.size();) {
    const auto& entries = by_first_byte_[static_cast<unsigned char>(text[at])];
    const auto here = [&](const Entry& entry) { return text.substr(at).starts_with(entry.text); };
    const auto found = std::find_if(entries.begin(), entries.end(), here);
    if (found == entries.end()) {
      ++at;
      continue;
    }
    if (begin < at) sink(text.substr(begin, at - begin), -1);
    sink(text.substr(at, found->text.size()), found->id);
    begin = at += found->text.size();
  }
  if (begin < text.size()) sink(text.substr(begin), -1);
}

}  // namespace strait::data
