#include "strait/kernels/fast_math.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>

namespace strait::kernels {
namespace {

/// |value - exact| in units in the last place of T at `exact`; of the smallest subnormal below that.
template <class T>
double ulp_error(T value, long double exact) {
  const T nearest = static_cast<T>(exact);
  if (value == nearest) return 0.0;
  if (!std::isfinite(value) || std::isinf(nearest)) return std::numeric_limits<double>::infinity();
  const int exponent = std::max(std::ilogb(std::max(nearest, std::numeric_limits<T>::min())),
                                std::numeric_limits<T>::min_exponent - 1);
  const long double ulp = std::ldexp(1.0L, exponent - std::numeric_limits<T>::digits + 1);
  return static_cast<double>(std::abs(static_cast<long double>(value) - exact) / ulp);
}

TEST(FastExp, EveryThousandthFloatIsWithinTwoUlp) {
  double worst = 0.0;
  float worst_at = 0.0f;
  for (std::uint64_t bits = 0; bits <= 0xffffffffu; bits += 997) {
    const float x = std::bit_cast<float>(static_cast<std::uint32_t>(bits));
    if (!std::isfinite(x)) continue;
    const double error = ulp_error(fast::exp(x), std::exp(static_cast<long double>(x)));
    if (error > worst) worst = error, worst_at = x;
  }
  EXPECT_LT(worst, 2.0) << "at " << worst_at;
}

template <class T>
class FastExpRange : public ::testing::Test {};
using Scalars = ::testing::Types<float, double>;
TYPED_TEST_SUITE(FastExpRange, Scalars);

TYPED_TEST(FastExpRange, RandomArgumentsAreWithinTwoUlp) {
  using T = TypeParam;
  std::mt19937_64 generator(1);
  const T bound = std::numeric_limits<T>::max_exponent * T(0.6931) + T(60);
  for (const T scale : {bound, T(20), T(1), T(1e-3)}) {
    std::uniform_real_distribution<T> uniform(-scale, scale);
    double worst = 0.0;
    for (int i = 0; i < 200000; ++i) {
      const T x = uniform(generator);
      worst = std::max(worst, ulp_error(fast::exp(x), std::exp(static_cast<long double>(x))));
    }
    EXPECT_LT(worst, 2.0) << "on [-" << scale << ", " << scale << "]";
  }
}

TYPED_TEST(FastExpRange, EdgesOfTheRange) {
  using T = TypeParam;
  using Limits = std::numeric_limits<T>;
  const T overflow = std::log(Limits::max());
  const T underflow = std::log(Limits::min());
  for (const T edge : {overflow, underflow, std::log(Limits::denorm_min()), T(0)}) {
    T below = edge, above = edge;
    for (int i = 0; i < 1000; ++i) {
      for (const T x : {below, above}) {
        EXPECT_LT(ulp_error(fast::exp(x), std::exp(static_cast<long double>(x))), 2.0) << "at " << x;
      }
      below = std::nextafter(below, -Limits::infinity());
      above = std::nextafter(above, Limits::infinity());
    }
  }
}

TYPED_TEST(FastExpRange, SpecialValues) {
  using T = TypeParam;
  using Limits = std::numeric_limits<T>;
  EXPECT_EQ(fast::exp(T(0)), T(1));
  EXPECT_EQ(fast::exp(-T(0)), T(1));
  EXPECT_EQ(fast::exp(Limits::infinity()), Limits::infinity());
  EXPECT_EQ(fast::exp(Limits::max()), Limits::infinity());
  EXPECT_EQ(fast::exp(-Limits::infinity()), T(0));
  EXPECT_EQ(fast::exp(Limits::lowest()), T(0));
  EXPECT_TRUE(std::isnan(fast::exp(Limits::quiet_NaN())));
}

TYPED_TEST(FastExpRange, SigmoidAndSiluFollowTheirDefinition) {
  using T = TypeParam;
  const double tolerance = 4.0 * std::numeric_limits<T>::epsilon();
  for (double x = -30.0; x <= 30.0; x += 0.37) {
    const T argument = static_cast<T>(x);
    const double sigmoid = 1.0 / (1.0 + std::exp(-static_cast<double>(argument)));
    EXPECT_NEAR(fast::sigmoid(argument), sigmoid, tolerance * sigmoid);
    EXPECT_NEAR(fast::silu(argument), argument * sigmoid, tolerance * std::abs(argument * sigmoid));
  }
  EXPECT_EQ(fast::sigmoid(T(2000)), T(1));
  EXPECT_EQ(fast::silu(T(2000)), T(2000));
  EXPECT_EQ(fast::sigmoid(T(-2000)), T(0));
  EXPECT_EQ(fast::silu(T(-2000)), T(0));
}

}  // namespace
}  // namespace strait::kernels
