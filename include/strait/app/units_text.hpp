#pragma once
// Numbers for people: 1.32 M, 12.3 GB, 4m10s.

#include <string>

namespace strait::app {

/// Three digits and a decimal prefix: "1.32 M", "850 ", so that a unit can follow.
std::string with_prefix(double value);

/// "850 B", "1.32 MB": decimal.
std::string bytes_text(double bytes);

/// "12.3s", "4m10s", "2h05m".
std::string duration_text(double seconds);

}  // namespace strait::app
