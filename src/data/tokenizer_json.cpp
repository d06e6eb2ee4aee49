#include "tokenizer_json.hpp"

#include <fmt/format.h>

#include <stdexcept>

namespace strait::data {

bool JsonNode::has(const char* key) const {
  if (!value_->is_object()) refuse("expected an object");
  const auto found = value_->find(key);
  return found != value_->end() && !found->is_null();
}

JsonNode JsonNode::at(const char* key) const {
  const std::string place = place_.empty() ? key : fmt::format("{}.{}", place_, key);
  if (!has(key)) throw std::runtime_error(fmt::format("{}: missing", place));
  return {(*value_)[key], place};
}

std::vector<JsonNode> JsonNode::list(const char* key) const {
  const JsonNode node = at(key);
  if (!node.value_->is_array()) node.refuse("expected a list");
  std::vector<JsonNode> items;
  for (const auto& item : *node.value_) {
    items.emplace_back(item, fmt::format("{}[{}]", node.place_, items.size()));
  }
  return items;
}

std::string JsonNode::text() const {
  if (!value_->is_string()) refuse("expected a string");
  return value_->get<std::string>();
}

std::int64_t JsonNode::integer() const {
  if (!value_->is_number_integer()) refuse("expected an integer");
  return value_->get<std::int64_t>();
}

bool JsonNode::flag(const char* key, bool otherwise) const {
  if (!has(key)) return otherwise;
  const JsonNode node = at(key);
  if (!node.value_->is_boolean()) node.refuse("expected true or false");
  return node.value_->get<bool>();
}

void JsonNode::refuse(const std::string& message) const {
  throw std::runtime_error(place_.empty() ? message : fmt::format("{}: {}", place_, message));
}

void JsonNode::refuse_type(const std::string& known) const {
  refuse(fmt::format("{} is not supported, only {}", type(), known));
}

}  // namespace strait::data
