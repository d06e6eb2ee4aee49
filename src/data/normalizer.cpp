#include "normalizer.hpp"

namespace strait::data {

std::string replace_all(std::string_view text, std::string_view from, std::string_view to) {
  std::string result;
  std::size_t begin = 0;
  for (std::size_t at = 0; (at = text.find(from, begin)) != std::string_view::npos;
       begin = at + from.size()) {
    result.append(text.substr(begin, at - begin)).append(to);
  }
  return result.append(text.substr(begin));
}

Normalizer Normalizer::read(const JsonNode& node) {
  Normalizer normalizer;
  normalizer.add(node);
  return normalizer;
}

void Normalizer::add(const JsonNode& node) {
  const std::string type = node.type();
  if (type == "Sequence") {
    for (const JsonNode& part : node.list("normalizers")) add(part);
  } else if (type == "Prepend") {
    steps_.emplace_back(
        [front = node.text("prepend")](std::string text) { return text.empty() ? text : front + text; });
  } else if (type == "Replace") {
    const std::string from = node.at("pattern").text("String");
    if (from.empty()) node.refuse("an empty pattern");
    steps_.emplace_back(
        [from, to = node.text("content")](const std::string& text) { return replace_all(text, from, to); });
  } else {
    node.refuse_type("Prepend, Replace and Sequence");
  }
}

std::string Normalizer::apply(std::string text) const {
  for (const auto& step : steps_) text = step(std::move(text));
  return text;
}

}  // namespace strait::data
