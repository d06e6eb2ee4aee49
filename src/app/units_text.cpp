#include "strait/app/units_text.hpp"

#include <fmt/format.h>

#include <array>
#include <cmath>

namespace strait::app {

std::string with_prefix(double value) {
  constexpr std::array prefixes = {"", "k", "M", "G", "T", "P"};
  std::size_t prefix = 0;
  while (std::abs(value) >= 999.5 && prefix + 1 < prefixes.size()) {
    value /= 1000.0;
    ++prefix;
  }
  const bool whole = prefix == 0 && value == std::floor(value);
  const int decimals = whole || std::abs(value) >= 99.95 ? 0 : std::abs(value) >= 9.995 ? 1 : 2;
  return fmt::format("{:.{}f} {}", value, decimals, prefixes[prefix]);
}

std::string bytes_text(double bytes) { return with_prefix(bytes) + "B"; }

std::string duration_text(double seconds) {
  if (seconds < 60.0) return fmt::format("{:.1f}s", seconds);
  const auto whole = std::llround(seconds);
  if (whole < 3600) return fmt::format("{}m{:02}s", whole / 60, whole % 60);
  return fmt::format("{}h{:02}m", whole / 3600, whole % 3600 / 60);
}

}  // namespace strait::app
