#include "strait/kernels/rounding.hpp"

#include "support/tensors.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace strait::kernels {
namespace {

Vector<float> device_vector(const ExecutionSpace& exec, const std::vector<float>& values) {
  const Vector<float> vector("strait::test::values", values.size());
  auto host = host_like(vector);
  for (std::size_t i = 0; i < values.size(); ++i) host(i) = values[i];
  to_device(exec, vector, host);
  return vector;
}

/// Bits of the rounded numbers.
std::vector<std::uint16_t> stochastic(const ExecutionSpace& exec, const Vector<float>& values,
                                      std::uint64_t seed, std::uint64_t stream) {
  const Vector<bfloat16> rounded("strait::test::rounded", values.extent(0));
  round_stochastically(exec, rounded, values, seed, stream);
  const auto host = to_host(exec, rounded);
  std::vector<std::uint16_t> bits;
  for (std::size_t i = 0; i < host.extent(0); ++i) bits.push_back(host(i).bits);
  return bits;
}

TEST(Rounding, NearestIsTheConversion) {
  const ExecutionSpace exec;
  const auto values = test::random_vector<float>(exec, 1001, 1);
  const Vector<bfloat16> rounded("strait::test::rounded", 1001);
  round_to_nearest(exec, rounded, values);
  const auto found = to_host(exec, rounded);
  const auto wanted = to_host(exec, values);
  for (int i = 0; i < 1001; ++i) ASSERT_EQ(found(i).bits, to_bfloat16(wanted(i)));
}

TEST(Rounding, StochasticTakesANeighbourAndKeepsWhatFits) {
  const ExecutionSpace exec;
  constexpr float infinity = std::numeric_limits<float>::infinity();
  const std::vector<float> exact = {0.0f, -0.0f, 1.0f, -2.5f, 0x1p-130f, infinity, -infinity};
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const auto found = stochastic(exec, device_vector(exec, exact), seed, 0);
    for (std::size_t i = 0; i < exact.size(); ++i) EXPECT_EQ(found[i], to_bfloat16(exact[i])) << exact[i];
  }
  const auto nan = stochastic(exec, device_vector(exec, {std::nanf("")}), 0, 0);
  EXPECT_TRUE(std::isnan(from_bfloat16(nan[0])));
  const auto values = test::random_vector<float>(exec, 1000, 2);
  const auto wanted = to_host(exec, values);
  const auto found = stochastic(exec, values, 3, 4);
  for (int i = 0; i < 1000; ++i) {
    const float unit = std::ldexp(1.0f, std::ilogb(wanted(i)) - 7);
    EXPECT_LT(std::abs(from_bfloat16(found[i]) - wanted(i)), unit);
  }
}

/// The mean over n draws is within five standard deviations, of at most half a unit / sqrt(n) each.
TEST(Rounding, StochasticIsUnbiased) {
  const ExecutionSpace exec;
  constexpr int draws = 40000;
  for (const float value : {1.001f, -1.0077f, 0.3f, 3.14159f, 1e-5f, -1.00001f}) {
    const auto bits = stochastic(exec, device_vector(exec, std::vector<float>(draws, value)), 5, 6);
    double sum = 0.0;
    for (const auto b : bits) sum += from_bfloat16(b);
    const double unit = std::ldexp(1.0, std::ilogb(value) - 7);
    EXPECT_NEAR(sum / draws, value, 5 * 0.5 * unit / std::sqrt(draws)) << value;
  }
}

TEST(Rounding, StochasticIsAFunctionOfSeedStreamAndIndex) {
  const ExecutionSpace exec;
  const auto values = test::random_vector<float>(exec, 1003, 7);
  const auto all = stochastic(exec, values, 1, 2);
  EXPECT_EQ(stochastic(exec, values, 1, 2), all);
  EXPECT_NE(stochastic(exec, values, 2, 2), all);
  EXPECT_NE(stochastic(exec, values, 1, 3), all);
  const auto first = stochastic(exec, Kokkos::subview(values, std::make_pair(0, 501)), 1, 2);
  EXPECT_EQ(first, std::vector(all.begin(), all.begin() + 501));
}

}  // namespace
}  // namespace strait::kernels
