#include "strait/core/bits16.hpp"

#include "strait/core/host_mirror.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace strait {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

TEST(Bfloat16, MatchesReferencePatterns) {
  EXPECT_EQ(to_bfloat16(0.0f), 0x0000);
  EXPECT_EQ(to_bfloat16(-0.0f), 0x8000);
  EXPECT_EQ(to_bfloat16(1.0f), 0x3f80);
  EXPECT_EQ(to_bfloat16(-2.0f), 0xc000);
  EXPECT_EQ(to_bfloat16(3.14159265f), 0x4049);
  EXPECT_EQ(to_bfloat16(0.1f), 0x3dcd);
  EXPECT_EQ(to_bfloat16(infinity), 0x7f80);
  EXPECT_EQ(to_bfloat16(-infinity), 0xff80);
  EXPECT_EQ(to_bfloat16(std::numeric_limits<float>::max()), 0x7f80);
  EXPECT_EQ(to_bfloat16(std::numeric_limits<float>::denorm_min()), 0x0000);
  EXPECT_EQ(from_bfloat16(0x0001), 0x1p-133f);
}

TEST(Float16, MatchesReferencePatterns) {
  EXPECT_EQ(to_float16(0.0f), 0x0000);
  EXPECT_EQ(to_float16(-0.0f), 0x8000);
  EXPECT_EQ(to_float16(1.0f), 0x3c00);
  EXPECT_EQ(to_float16(-2.0f), 0xc000);
  EXPECT_EQ(to_float16(3.14159265f), 0x4248);
  EXPECT_EQ(to_float16(0.1f), 0x2e66);
  EXPECT_EQ(to_float16(65504.0f), 0x7bff);
  EXPECT_EQ(to_float16(65519.0f), 0x7bff);
  EXPECT_EQ(to_float16(65520.0f), 0x7c00);
  EXPECT_EQ(to_float16(1e10f), 0x7c00);
  EXPECT_EQ(to_float16(-infinity), 0xfc00);
  EXPECT_EQ(to_float16(0x1p-14f), 0x0400);
  EXPECT_EQ(to_float16(0x1p-24f), 0x0001);
  EXPECT_EQ(to_float16(0x1p-25f), 0x0000);
  EXPECT_EQ(to_float16(0x1.8p-25f), 0x0001);
}

template <class To, class From>
void check_nan_is_kept(To to, From from) {
  for (const std::uint32_t bits : {0x7fc00000u, 0xffc00000u, 0x7f800001u, 0xffffffffu}) {
    const float value = from(to(bits16_detail::float_of(bits)));
    EXPECT_TRUE(std::isnan(value)) << std::hex << bits;
    EXPECT_EQ(std::signbit(value), bits >> 31 == 1) << std::hex << bits;
  }
}

TEST(Bits16, KeepsNaN) {
  check_nan_is_kept(to_bfloat16, from_bfloat16);
  check_nan_is_kept(to_float16, from_float16);
}

/// Every finite pattern reads back to itself, and between two neighbours the nearest wins, the even one in
/// the middle: with the reference patterns this determines the conversion of every float.
template <class To, class From>
void check_rounding(To to, From from, std::uint16_t pattern_of_infinity) {
  for (std::uint16_t low = 0; low + 1 < pattern_of_infinity; ++low) {
    const std::uint16_t high = low + 1;
    const float a = from(low);
    const float b = from(high);
    ASSERT_LT(a, b);
    ASSERT_EQ(to(a), low);
    ASSERT_EQ(to(-a), low | 0x8000);
    const float middle = a + (b - a) / 2;
    ASSERT_EQ(to(middle), low % 2 == 0 ? low : high);
    ASSERT_EQ(to(std::nextafter(middle, a)), low);
    ASSERT_EQ(to(std::nextafter(middle, b)), high);
  }
}

TEST(Bits16, RoundsToNearestEven) {
  check_rounding(to_bfloat16, from_bfloat16, 0x7f80);
  check_rounding(to_float16, from_float16, 0x7c00);
}

/// Each pattern to float and back. Not in a TEST: nvcc takes no kernel lambda in a private member function.
void convert_all(const ExecutionSpace& exec, const Vector<std::uint16_t>& bfloat,
                 const Vector<std::uint16_t>& half) {
  Kokkos::parallel_for(
      "strait::test::bits16", RangePolicy(exec, 0, bfloat.extent(0)), KOKKOS_LAMBDA(std::int64_t i) {
        bfloat(i) = to_bfloat16(from_bfloat16(static_cast<std::uint16_t>(i)));
        half(i) = to_float16(from_float16(static_cast<std::uint16_t>(i)));
      });
}

TEST(Bits16, ConvertsInKernels) {
  const ExecutionSpace exec;
  const int count = 1 << 16;
  const Vector<std::uint16_t> bfloat("strait::test::bfloat", count), half("strait::test::half", count);
  convert_all(exec, bfloat, half);
  const auto bfloat_host = to_host(exec, bfloat);
  const auto half_host = to_host(exec, half);
  for (int i = 0; i < count; ++i) {
    const bool bfloat_is_nan = (i & 0x7fff) > 0x7f80;
    const bool half_is_nan = (i & 0x7fff) > 0x7c00;
    ASSERT_EQ(bfloat_host(i), bfloat_is_nan ? i | 0x40 : i);
    ASSERT_EQ(half_host(i), half_is_nan ? i | 0x200 : i);
  }
}

}  // namespace
}  // namespace strait
