#include "byte_alphabet.hpp"

#include "utf8.hpp"

#include <array>
#include <cstdint>

namespace strait::data {
namespace {

/// Visible characters of Latin-1 stand for themselves, the other bytes in order for U+0100, U+0101, ...
bool stands_for_itself(unsigned byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

constexpr std::uint32_t alphabet_end = 0x144;

/// [code point] -> byte, or -1.
std::array<int, alphabet_end> make_table() {
  std::array<int, alphabet_end> table;
  table.fill(-1);
  std::uint32_t next = 0x100;
  for (unsigned byte = 0; byte < 256; ++byte) {
    table[stands_for_itself(byte) ? byte : next++] = static_cast<int>(byte);
  }
  return table;
}

}  // namespace

std::optional<std::string> bytes_of_alphabet(std::string_view text) {
  static const std::array<int, alphabet_end> table = make_table();
  std::string bytes;
  while (!text.empty()) {
    const std::size_t size = character_size(text);
    if (size > 2) return std::nullopt;  // beyond U+07FF
    std::uint32_t code = static_cast<unsigned char>(text[0]);
    if (size == 2) code = (code & 0x1f) << 6 | (static_cast<unsigned char>(text[1]) & 0x3f);
    if (code >= alphabet_end || table[code] < 0) return std::nullopt;
    bytes += static_cast<char>(table[code]);
    text.remove_prefix(size);
  }
  return bytes;
}

}  // namespace strait::data
