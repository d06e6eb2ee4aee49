#pragma once
// Messages of known bytes.

#include "strait/codec/codec.hpp"
#include "strait/core/host_mirror.hpp"

#include <cstdint>
#include <vector>

namespace strait::test {

inline codec::Message empty_message(std::int64_t capacity) {
  codec::Message message;
  message.bytes = Vector<std::uint8_t>("strait::test::message", capacity);
  return message;
}

/// Sets a message to `size` bytes: first, first + 1, ...
inline void fill(const ExecutionSpace& exec, codec::Message& message, std::int64_t size, int first) {
  auto host = to_host(exec, message.bytes);
  for (std::int64_t i = 0; i < size; ++i) host(i) = static_cast<std::uint8_t>(first + i);
  to_device(exec, message.bytes, host);
  message.size = size;
}

inline bool holds(const ExecutionSpace& exec, const codec::Message& message, std::int64_t size, int first) {
  if (message.size != size) return false;
  const auto host = to_host(exec, message.bytes);
  for (std::int64_t i = 0; i < size; ++i) {
    if (host(i) != static_cast<std::uint8_t>(first + i)) return false;
  }
  return true;
}

}  // namespace strait::test
