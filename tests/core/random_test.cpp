#include "strait/core/random.hpp"

#include "strait/core/host_mirror.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

namespace strait {
namespace {

/// The vectors of Random123's tests/kat_vectors for philox4x32 with 10 rounds.
TEST(Philox, GivesThePublishedKnownAnswers) {
  struct Case {
    Philox::Block counter;
    std::uint32_t key[2];
    Philox::Block expected;
  };
  const Case cases[] = {
      {{{0, 0, 0, 0}}, {0, 0}, {{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}}},
      {{{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}},
       {0xffffffff, 0xffffffff},
       {{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}}},
      {{{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}},
       {0xa4093822, 0x299f31d0},
       {{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}}},
  };
  for (const Case& c : cases) {
    const Philox::Block direct = Philox::encrypt(c.counter, c.key[0], c.key[1]);
    const auto join = [](std::uint32_t low, std::uint32_t high) { return std::uint64_t{high} << 32 | low; };
    const Philox generator(join(c.key[0], c.key[1]), join(c.counter.word[2], c.counter.word[3]));
    const Philox::Block block = generator.block(join(c.counter.word[0], c.counter.word[1]));
    for (int i = 0; i < 4; ++i) {
      EXPECT_EQ(direct.word[i], c.expected.word[i]);
      EXPECT_EQ(block.word[i], c.expected.word[i]);
    }
  }
}

TEST(Philox, SeedStreamAndIndexEachChangeTheBits) {
  std::set<std::uint64_t> seen;
  for (const std::uint64_t seed : {0ull, 1ull, 1ull << 32}) {
    for (const std::uint64_t stream : {0ull, 1ull, 1ull << 32}) {
      for (const std::uint64_t index : {0ull, 1ull, 1ull << 32})
        seen.insert(Philox(seed, stream).bits(index));
    }
  }
  EXPECT_EQ(seen.size(), 27u);
}

TEST(Philox, UniformHasTheMomentsOfTheUnitInterval) {
  constexpr int count = 200000;
  const Philox random(7, 3);
  double sum = 0.0, squares = 0.0;
  for (int i = 0; i < count; ++i) {
    const double u = random.uniform(i);
    ASSERT_GE(u, 0.0);
    ASSERT_LT(u, 1.0);
    sum += u;
    squares += u * u;
  }
  const double five_sigma = 5.0 / std::sqrt(double(count));
  EXPECT_NEAR(sum / count, 0.5, five_sigma * std::sqrt(1.0 / 12.0));
  EXPECT_NEAR(squares / count, 1.0 / 3.0, five_sigma * std::sqrt(4.0 / 45.0));
}

TEST(Philox, NormalHasTheMomentsAndTailsOfTheGaussian) {
  constexpr int count = 200000;
  const Philox random(7, 3);
  double sum = 0.0, squares = 0.0, fourth = 0.0;
  int beyond_two = 0;
  for (int i = 0; i < count; ++i) {
    const double x = random.normal(i);
    sum += x;
    squares += x * x;
    fourth += x * x * x * x;
    beyond_two += std::abs(x) > 2.0;
  }
  const double five_sigma = 5.0 / std::sqrt(double(count));
  EXPECT_NEAR(sum / count, 0.0, five_sigma);
  EXPECT_NEAR(squares / count, 1.0, five_sigma * std::sqrt(2.0));
  EXPECT_NEAR(fourth / count, 3.0, five_sigma * std::sqrt(96.0));
  EXPECT_NEAR(double(beyond_two) / count, std::erfc(std::sqrt(2.0)), five_sigma * 0.21);
}

/// Not in a TEST: nvcc takes no kernel lambda in a private member function.
void draw(const ExecutionSpace& exec, const Vector<double>& drawn, const Philox& random) {
  Kokkos::parallel_for(
      "strait::test::draw", RangePolicy(exec, 0, drawn.extent(0)),
      KOKKOS_LAMBDA(std::int64_t i) { drawn(i) = random.uniform(i); });
}

TEST(Philox, KernelsDrawTheSameNumbersAsTheHost) {
  const ExecutionSpace exec;
  const Philox random(11, 5);
  const Vector<double> drawn("strait::test::drawn", 1000);
  draw(exec, drawn, random);
  const auto host = to_host(exec, drawn);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(host(i), random.uniform(i));
}

}  // namespace
}  // namespace strait
