#pragma once
// Transcendental functions as inlined polynomials: no call stands in the way of the vectoriser on hosts.

#include "strait/core/kokkos.hpp"

#include <cstdint>
#include <type_traits>

namespace strait::kernels::fast {

namespace detail {

template <class T>
struct ExpConstants;

template <>
struct ExpConstants<float> {
  using Bits = std::uint32_t;
  static constexpr float highest = 89.0f;      ///< exp overflows here
  static constexpr float lowest = -104.0f;     ///< exp rounds to zero here
  static constexpr float magic = 12582912.0f;  ///< 1.5 * 2^23: adding it rounds to an integer in the low bits
  static constexpr float bias = 127.0f;
  static constexpr int mantissa_bits = 23;
  static constexpr float log2_e = 1.44269504088896341f;
  static constexpr float ln2_high = 0.693359375f;  ///< few enough bits that n * ln2_high is exact
  static constexpr float ln2_low = -2.12194440e-4f;
};

template <>
struct ExpConstants<double> {
  using Bits = std::uint64_t;
  static constexpr double highest = 710.0;
  static constexpr double lowest = -746.0;
  static constexpr double magic = 6755399441055744.0;  ///< 1.5 * 2^52
  static constexpr double bias = 1023.0;
  static constexpr int mantissa_bits = 52;
  static constexpr double log2_e = 1.44269504088896340736;
  static constexpr double ln2_high = 6.93147180369123816490e-01;
  static constexpr double ln2_low = 1.90821492927058770002e-10;
};

/// (exp(r) - 1 - r) / r^2 for |r| <= ln(2) / 2, minimax in the relative error of exp: 3e-9.
KOKKOS_INLINE_FUNCTION float exp_tail(float r) {
  float q = 1.3814540063843824e-3f;
  q = q * r + 8.3687451066615867e-3f;
  q = q * r + 4.1668390784236842e-2f;
  q = q * r + 1.6666520399084748e-1f;
  return q * r + 4.9999993432139047e-1f;
}

/// As above, relative error 4e-18.
KOKKOS_INLINE_FUNCTION double exp_tail(double r) {
  double q = 2.5000017291895037558e-8;
  q = q * r + 2.7630306294839949038e-7;
  q = q * r + 2.7557586808315324592e-6;
  q = q * r + 2.4801492949514460815e-5;
  q = q * r + 1.9841269505769378226e-4;
  q = q * r + 1.3888888943760070308e-3;
  q = q * r + 8.3333333334949790391e-3;
  q = q * r + 4.1666666666529727883e-2;
  q = q * r + 1.6666666666666411506e-1;
  return q * r + 5.0000000000000106688e-1;
}

}  // namespace detail

/// exp(x) to 2 units in the last place for every x, subnormal results included; NaN stays NaN.
///
/// x = n ln(2) + r (Cody & Waite 1980), exp(x) = exp(r) 2^n. The power is applied as two factors, so that
/// neither leaves the range of normal numbers and a subnormal result is rounded once.
template <class T>
KOKKOS_INLINE_FUNCTION T exp(T x) {
  static_assert(std::is_same_v<T, float> || std::is_same_v<T, double>);
  using C = detail::ExpConstants<T>;
  using Bits = typename C::Bits;
  x = x > C::highest ? C::highest : x;
  x = x < C::lowest ? C::lowest : x;
  const T n = (x * C::log2_e + C::magic) - C::magic;
  const T r = (x - n * C::ln2_high) - n * C::ln2_low;
  const T biased_half = n * T(0.5) + (C::magic + C::bias);
  const T half = biased_half - (C::magic + C::bias);
  const T biased_rest = (n - half) + (C::magic + C::bias);
  // The low bits of the two sums are biased exponents; the shift drops the rest.
  const T power_half = __builtin_bit_cast(T, __builtin_bit_cast(Bits, biased_half) << C::mantissa_bits);
  const T power_rest = __builtin_bit_cast(T, __builtin_bit_cast(Bits, biased_rest) << C::mantissa_bits);
  return ((T(1) + (r + r * r * detail::exp_tail(r))) * power_half) * power_rest;
}

/// The logistic function 1 / (1 + exp(-x)).
template <class T>
KOKKOS_INLINE_FUNCTION T sigmoid(T x) {
  return T(1) / (T(1) + fast::exp(-x));
}

/// x * sigmoid(x).
template <class T>
KOKKOS_INLINE_FUNCTION T silu(T x) {
  return x / (T(1) + fast::exp(-x));
}

}  // namespace strait::kernels::fast
