#pragma once
// How each C++ type of a deck key is named, taken from a TOML value and turned back into one.

#include "deck_toml.hpp"

#include <cmath>
#include <optional>

namespace strait::deck_detail {

template <class T>
struct Convert;

template <class T>
struct ConvertExact {
  static std::optional<T> from(const Value& value) {
    const T* held = std::get_if<T>(&value.data);
    return held ? std::optional<T>(*held) : std::nullopt;
  }
  static Value to(const T& value) { return {value}; }
};

template <>
struct Convert<bool> : ConvertExact<bool> {
  static constexpr const char* name = "true or false";
};

template <>
struct Convert<std::int64_t> : ConvertExact<std::int64_t> {
  static constexpr const char* name = "an integer";
};

template <>
struct Convert<std::string> : ConvertExact<std::string> {
  static constexpr const char* name = "a string";
};

template <>
struct Convert<int> {
  static constexpr const char* name = "an integer of 32 bits";
  static std::optional<int> from(const Value& value) {
    const auto* held = std::get_if<std::int64_t>(&value.data);
    if (!held || *held != static_cast<int>(*held)) return std::nullopt;
    return static_cast<int>(*held);
  }
  static Value to(int value) { return {std::int64_t{value}}; }
};

/// Integers are numbers too; nan is not.
template <>
struct Convert<double> {
  static constexpr const char* name = "a number";
  static std::optional<double> from(const Value& value) {
    if (const auto* held = std::get_if<std::int64_t>(&value.data)) return static_cast<double>(*held);
    const auto* held = std::get_if<double>(&value.data);
    if (!held || std::isnan(*held)) return std::nullopt;
    return *held;
  }
  static Value to(double value) { return {value}; }
};

template <class T>
struct ConvertList {
  static std::optional<std::vector<T>> from(const Value& value) {
    const auto* list = std::get_if<std::vector<Value>>(&value.data);
    if (!list) return std::nullopt;
    std::vector<T> out;
    for (const Value& element : *list) {
      const std::optional<T> converted = Convert<T>::from(element);
      if (!converted) return std::nullopt;
      out.push_back(*converted);
    }
    return out;
  }
  static Value to(const std::vector<T>& list) {
    std::vector<Value> out;
    for (const T& element : list) out.push_back(Convert<T>::to(element));
    return {std::move(out)};
  }
};

template <>
struct Convert<std::vector<std::string>> : ConvertList<std::string> {
  static constexpr const char* name = "a list of strings";
};

template <>
struct Convert<std::vector<int>> : ConvertList<int> {
  static constexpr const char* name = "a list of integers of 32 bits";
};

template <>
struct Convert<std::vector<double>> : ConvertList<double> {
  static constexpr const char* name = "a list of numbers";
};

}  // namespace strait::deck_detail
