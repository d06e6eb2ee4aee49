#pragma once
// Magnitudes as integers: for numbers without sign the order of the bits is the order of the values, with
// infinity and then NaN above all others. Comparing bits therefore never loses a NaN.

#include "strait/core/kokkos.hpp"

#include <cstdint>
#include <cstring>
#include <type_traits>

namespace strait::codec {

template <class T>
using MagnitudeBits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;

/// The bits of |value|.
template <class T>
KOKKOS_INLINE_FUNCTION MagnitudeBits<T> magnitude_bits(T value) {
  MagnitudeBits<T> bits;
  memcpy(&bits, &value, sizeof(bits));
  return bits & (~MagnitudeBits<T>(0) >> 1);
}

/// The number, not negative, that has these bits.
template <class T>
KOKKOS_INLINE_FUNCTION T magnitude_of(MagnitudeBits<T> bits) {
  T value;
  memcpy(&value, &bits, sizeof(value));
  return value;
}

}  // namespace strait::codec
