#include "deck_toml.hpp"

#include "strait/core/error.hpp"

#include <toml++/toml.h>

#include <algorithm>
#include <cmath>
#include <optional>

namespace strait::deck_detail {
namespace {

std::string join(const std::string& table, std::string_view key) {
  return table.empty() ? std::string(key) : fmt::format("{}.{}", table, key);
}

class Flattener {
 public:
  Flattener(Contents& out, std::string name, bool override_of_a_file)
      : out_(out), name_(std::move(name)), is_override_(override_of_a_file) {}

  void table(const toml::table& table, const std::string& path) {
    for (auto&& [key, node] : table) {
      const Place where = place(key.source());
      if (const toml::table* inner = node.as_table()) {
        const std::string inner_path = join(path, key.str());
        out_.tables.push_back({inner_path, where});
        this->table(*inner, inner_path);
      } else {
        assign({path, std::string(key.str()), value(node, where, join(path, key.str())), where});
      }
    }
  }

  void assign(Entry entry) {
    auto same = [&](const Entry& e) { return e.table == entry.table && e.key == entry.key; };
    auto found = std::find_if(out_.entries.begin(), out_.entries.end(), same);
    if (found == out_.entries.end()) {
      out_.entries.push_back(std::move(entry));
    } else {
      *found = std::move(entry);
    }
  }

  Value value(const toml::node& node, const Place& where, const std::string& full_key) const {
    if (auto v = node.as_boolean()) return {v->get()};
    if (auto v = node.as_integer()) return {v->get()};
    if (auto v = node.as_floating_point()) return {v->get()};
    if (auto v = node.as_string()) return {v->get()};
    if (auto array = node.as_array()) {
      std::vector<Value> values;
      for (const toml::node& element : *array) values.push_back(value(element, where, full_key));
      return {std::move(values)};
    }
    fail(ExitCode::deck, "{}: {}: found {}, expected booleans, numbers, strings or lists of them", where.text,
         full_key, node.is_table() ? "a list of tables" : "a date or time");
  }

  Place place(const toml::source_region& region) const {
    if (is_override_) return {name_, 0, 0};
    const auto line = static_cast<std::int64_t>(region.begin.line);
    const auto column = static_cast<std::int64_t>(region.begin.column);
    return {fmt::format("{}:{}:{}", name_, line, column), line, column};
  }

 private:
  Contents& out_;
  std::string name_;
  bool is_override_;
};

/// The table {v = text} if `text` is one TOML value.
std::optional<toml::table> parse_value(const std::string& text) {
  try {
    toml::table table = toml::parse("v = " + text);
    // A line break in the text could smuggle in more keys.
    if (table.size() == 1) return table;
  } catch (const toml::parse_error&) {
  }
  return std::nullopt;
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out += fmt::format("\\u{:04X}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string number(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  std::string text = fmt::format("{}", value);
  // TOML reads digits alone as an integer.
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

}  // namespace

Contents parse_toml(std::string_view text, const std::string& name) {
  Contents contents;
  try {
    Flattener(contents, name, false).table(toml::parse(text), "");
  } catch (const toml::parse_error& error) {
    const auto at = error.source().begin;
    fail(ExitCode::deck, "{}:{}:{}: not valid TOML: {}", name, at.line, at.column, error.description());
  }
  auto earlier = [](const auto& a, const auto& b) {
    return std::pair(a.place.line, a.place.column) < std::pair(b.place.line, b.place.column);
  };
  std::stable_sort(contents.entries.begin(), contents.entries.end(), earlier);
  std::stable_sort(contents.tables.begin(), contents.tables.end(), earlier);
  return contents;
}

void apply_override(Contents& contents, const std::string& assignment) {
  const std::string where = "--set " + assignment;
  const auto equals = assignment.find('=');
  const auto dot = equals == std::string::npos ? equals : assignment.substr(0, equals).rfind('.');
  if (dot == std::string::npos || dot == 0 || dot + 1 == equals) {
    fail(ExitCode::deck, "{}: expected table.key=value", where);
  }
  const std::string table = assignment.substr(0, dot);
  const std::string key = assignment.substr(dot + 1, equals - dot - 1);
  const std::string text = assignment.substr(equals + 1);

  Flattener flattener(contents, where, true);
  if (const auto parsed = parse_value(text)) {
    const toml::node& node = *parsed->get("v");
    if (node.is_table()) {
      fail(ExitCode::deck, "{}: found a table, expected one key at a time", where);
    }
    flattener.assign({table, key, flattener.value(node, {where}, table + "." + key), {where}});
    return;
  }
  if (!text.empty() && std::string_view("[{\"'").find(text.front()) != std::string_view::npos) {
    fail(ExitCode::deck, "{}: the value is not valid TOML", where);
  }
  flattener.assign({table, key, {text}, {where}});
}

std::string to_toml(const Value& value) {
  struct Printer {
    std::string operator()(bool v) const { return v ? "true" : "false"; }
    std::string operator()(std::int64_t v) const { return fmt::format("{}", v); }
    std::string operator()(double v) const { return number(v); }
    std::string operator()(const std::string& v) const { return quoted(v); }
    std::string operator()(const std::vector<Value>& v) const {
      std::string out = "[";
      for (const Value& element : v) out += (out.size() > 1 ? ", " : "") + to_toml(element);
      return out + "]";
    }
  };
  return std::visit(Printer{}, value.data);
}

}  // namespace strait::deck_detail
