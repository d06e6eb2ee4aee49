#pragma once
// GPT-2's way to write any bytes as printable text: one character stands for each byte.

#include <optional>
#include <string>
#include <string_view>

namespace strait::data {

/// The bytes that `text` stands for; none where a character of it stands for no byte.
std::optional<std::string> bytes_of_alphabet(std::string_view text);

}  // namespace strait::data
