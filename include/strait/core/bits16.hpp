#pragma once
// 16-bit floating-point formats as bits, for the wire and for storage. Kokkos' own types are float on host
// builds. Conversions round to nearest even; NaN stays NaN (quiet, with its sign and leading payload bits).

#include "strait/core/kokkos.hpp"

#include <cstdint>
#include <cstring>
#include <type_traits>

namespace strait {

namespace bits16_detail {

KOKKOS_INLINE_FUNCTION std::uint32_t bits_of(float value) {
  std::uint32_t bits;
  memcpy(&bits, &value, sizeof(bits));
  return bits;
}

KOKKOS_INLINE_FUNCTION float float_of(std::uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof(value));
  return value;
}

}  // namespace bits16_detail

/// float to bfloat16: sign, 8 bits of exponent, 7 of fraction.
KOKKOS_INLINE_FUNCTION std::uint16_t to_bfloat16(float value) {
  const std::uint32_t bits = bits16_detail::bits_of(value);
  const std::uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const bool is_nan = (bits & 0x7fffffffu) > 0x7f800000u;
  return static_cast<std::uint16_t>(is_nan ? (bits >> 16) | 0x40u : rounded);
}

/// The same, but rounded up in magnitude with the probability of the bits that are dropped: by 16 uniform
/// bits, the low ones of `random`. The mean over them is `value`.
KOKKOS_INLINE_FUNCTION std::uint16_t to_bfloat16_stochastic(float value, std::uint32_t random) {
  const std::uint32_t bits = bits16_detail::bits_of(value);
  const bool is_nan = (bits & 0x7fffffffu) > 0x7f800000u;
  return static_cast<std::uint16_t>(is_nan ? to_bfloat16(value) : (bits + (random & 0xffffu)) >> 16);
}

KOKKOS_INLINE_FUNCTION float from_bfloat16(std::uint16_t bits) {
  return bits16_detail::float_of(std::uint32_t{bits} << 16);
}

/// A number that is stored as bfloat16 and computed with as float.
struct bfloat16 {
  std::uint16_t bits;

  bfloat16() = default;
  KOKKOS_INLINE_FUNCTION explicit bfloat16(float value) : bits(to_bfloat16(value)) {}
  static KOKKOS_INLINE_FUNCTION bfloat16 from_bits(std::uint16_t bits) {
    bfloat16 number;
    number.bits = bits;
    return number;
  }
  KOKKOS_INLINE_FUNCTION operator float() const { return from_bfloat16(bits); }
};

/// In what kernels compute with numbers that are stored as T. Statistics, and gradients of parameters, are
/// kept in it too.
template <class T>
using Compute = std::conditional_t<std::is_same_v<T, bfloat16>, float, T>;

/// Whether a number loses bits when it is stored as T.
template <class T>
inline constexpr bool is_narrow = !std::is_same_v<T, Compute<T>>;

/// float to IEEE 754 binary16: sign, 5 bits of exponent, 10 of fraction. Beyond 65504 + 16: infinity.
KOKKOS_INLINE_FUNCTION std::uint16_t to_float16(float value) {
  const std::uint32_t bits = bits16_detail::bits_of(value);
  const std::uint32_t sign = (bits >> 16) & 0x8000u;
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  constexpr std::uint32_t infinity = 0x7f800000u;
  constexpr std::uint32_t two_to_16 = (127u + 16u) << 23;
  constexpr std::uint32_t smallest_normal = (127u - 14u) << 23;

  // Adding 0.5 aligns a subnormal result with the last fraction bits and lets the addition round it.
  const float aligned = bits16_detail::float_of(magnitude) + 0.5f;
  const std::uint32_t subnormal = bits16_detail::bits_of(aligned) - bits16_detail::bits_of(0.5f);
  // The exponent's bias changes from 127 to 15; a carry out of the fraction is the next exponent.
  const std::uint32_t normal = (magnitude - ((127u - 15u) << 23) + 0xfffu + ((magnitude >> 13) & 1u)) >> 13;
  const std::uint32_t special = magnitude > infinity ? 0x7e00u | ((magnitude >> 13) & 0x3ffu) : 0x7c00u;

  const std::uint32_t finite = magnitude < smallest_normal ? subnormal : normal;
  return static_cast<std::uint16_t>(sign | (magnitude < two_to_16 ? finite : special));
}

KOKKOS_INLINE_FUNCTION float from_float16(std::uint16_t half) {
  const std::uint32_t sign = (std::uint32_t{half} & 0x8000u) << 16;
  const std::uint32_t magnitude = (std::uint32_t{half} & 0x7fffu) << 13;
  const std::uint32_t exponent = magnitude >> 23;
  const std::uint32_t normal = magnitude + ((127u - 15u) << 23);
  const std::uint32_t special = magnitude | 0x7f800000u;
  // A subnormal is its fraction in units of 2^-24.
  const std::uint32_t subnormal = bits16_detail::bits_of(static_cast<float>(magnitude >> 13) * 0x1p-24f);
  const std::uint32_t finite = exponent == 0 ? subnormal : normal;
  return bits16_detail::float_of(sign | (exponent == 31u ? special : finite));
}

}  // namespace strait
