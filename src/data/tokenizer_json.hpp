#pragma once
// Values of a tokenizer.json with their places, for messages.

#include <nlohmann/json.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace strait::data {

/// Refers to a value of a document that must outlive it. What is missing or of another type is a
/// std::runtime_error that begins with its place, "pre_tokenizer.pattern: ...".
class JsonNode {
 public:
  JsonNode(const nlohmann::json& value, std::string place) : value_(&value), place_(std::move(place)) {}

  /// Whether the member is there and not null.
  bool has(const char* key) const;
  JsonNode at(const char* key) const;
  std::vector<JsonNode> list(const char* key) const;

  std::string text() const;
  std::int64_t integer() const;
  std::string text(const char* key) const { return at(key).text(); }
  bool flag(const char* key, bool otherwise) const;
  /// The member "type".
  std::string type() const { return text("type"); }

  const nlohmann::json& value() const { return *value_; }
  [[noreturn]] void refuse(const std::string& message) const;
  /// Of a "type" that is none of `known`.
  [[noreturn]] void refuse_type(const std::string& known) const;

 private:
  const nlohmann::json* value_;
  std::string place_;
};

}  // namespace strait::data
