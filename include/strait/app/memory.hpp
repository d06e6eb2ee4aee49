#pragma once
// What the operating system says of this process.

#include <cstdint>

namespace strait::app {

/// Largest resident set of this process so far, in bytes.
std::int64_t peak_resident_bytes();

}  // namespace strait::app
