#pragma once
// UTF-8, as RFC 3629 defines it.

#include <cstddef>
#include <string_view>

namespace strait::data {

/// Bytes of the character at the front of valid, non-empty UTF-8.
inline std::size_t character_size(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text.front());
  return lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

/// Where the first byte is that belongs to no character; npos in valid UTF-8.
std::size_t find_invalid_utf8(std::string_view text);

}  // namespace strait::data
