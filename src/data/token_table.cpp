#include "token_table.hpp"

#include <fmt/format.h>

#include <array>
#include <stdexcept>

namespace strait::data {

TokenTable TokenTable::read(const JsonNode& file, const Normalizer& normalizer) {
  TokenTable table;
  const JsonNode vocabulary = file.at("model").at("vocab");
  if (!vocabulary.value().is_object()) vocabulary.refuse("expected an object");
  for (const auto& [text, id] : vocabulary.value().items()) {
    if (!id.is_number_unsigned() || id.get<std::uint64_t>() > 0x7ffffffe) {
      vocabulary.refuse(fmt::format("the id of \"{}\", expected an integer from 0", text));
    }
    table.ids.emplace(text, id.get<std::int32_t>());
  }
  std::vector<JsonNode> added;
  if (file.has("added_tokens")) added = file.list("added_tokens");
  for (const JsonNode& node : added) {
    const std::string text = node.text("content");
    const std::int64_t id = node.at("id").integer();
    if (text.empty()) node.refuse("an empty token");
    const auto known = table.ids.try_emplace(text, static_cast<std::int32_t>(id)).first;
    if (known->second != id) node.refuse(fmt::format("has id {}, in model.vocab {}", id, known->second));
  }

  table.texts.resize(table.ids.size());
  table.special.resize(table.ids.size());
  std::vector<bool> seen(table.ids.size());
  for (const auto& [text, id] : table.ids) {
    const auto at = static_cast<std::size_t>(id);
    // As many ids as tokens: each in range and none twice means that there is no hole.
    if (at >= seen.size() || seen[at]) {
      throw std::runtime_error(fmt::format("token \"{}\" has id {}{}, expected 0 to {} once each", text, id,
                                           at < seen.size() ? " like another" : "", seen.size() - 1));
    }
    seen[at] = true;
    table.texts[at] = text;
  }
  for (const JsonNode& node : added) table.add_token(node, normalizer);
  return table;
}

void TokenTable::add_token(const JsonNode& node, const Normalizer& normalizer) {
  for (const char* key : {"single_word", "lstrip", "rstrip"}) {
    if (node.flag(key, false)) node.refuse(fmt::format("{} is not supported", key));
  }
  const auto id = static_cast<std::int32_t>(node.at("id").integer());
  std::string& text = texts[static_cast<std::size_t>(id)];
  special[static_cast<std::size_t>(id)] = node.flag("special", false);
  if (node.flag("normalized", true)) {
    text = normalizer.apply(text);
    if (text.empty()) node.refuse("the normalizer leaves nothing of it");
    normalized.add(text, id);
  } else {
    raw.add(text, id);
  }
}

std::int32_t TokenTable::end_of_document() const {
  constexpr std::array<std::string_view, 4> names = {"</s>", "<|end_of_text|>", "<|endoftext|>", "<eos>"};
  for (const std::string_view name : names) {
    if (const auto found = ids.find(name); found != ids.end()) return found->second;
  }
  throw std::runtime_error("no token to end documents with, expected " + std::string(names[0]) + ", " +
                           std::string(names[1]) + ", " + std::string(names[2]) + " or " +
                           std::string(names[3]));
}

std::vector<std::string> TokenTable::pieces(std::span<const std::int32_t> tokens) const {
  std::vector<std::string> result;
  for (const std::int32_t token : tokens) {
    const auto id = static_cast<std::size_t>(token);
    if (token >= 0 && id < texts.size() && !special[id]) result.push_back(texts[id]);
  }
  return result;
}

}  // namespace strait::data
