#include "strait/data/sampler.hpp"

#include "strait/data/permutation.hpp"

#include "support/expect_error.hpp"
#include "support/temporary_directory.hpp"
#include "support/token_files.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace strait::data {
namespace {

using test::TemporaryDirectory;
using ::testing::ElementsAre;

/// Tokens 0 .. count - 1, so that a token is its own position.
class SamplerTest : public ::testing::Test {
 protected:
  TokenStream counting(int count) {
    const std::string path = folder_.file(std::to_string(count) + ".bin");
    test::write_counting_tokens(path, count);
    return TokenStream::open(DataConfig(), {path}, count);
  }

 private:
  TemporaryDirectory folder_;
};

TEST_F(SamplerTest, SequentialOrderReadsOnAndWraps) {
  const TokenStream stream = counting(10);
  const Sampler sampler(stream, Order::sequential, 1, 2, 3);
  const Batch first = sampler.batch(0);
  EXPECT_THAT(first.inputs, ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_THAT(first.targets, ElementsAre(1, 2, 3, 4, 5, 6));
  const Batch second = sampler.batch(1);
  EXPECT_THAT(second.inputs, ElementsAre(6, 7, 8, 9, 0, 1));
  EXPECT_THAT(second.targets, ElementsAre(7, 8, 9, 0, 1, 2));
  for (const std::int64_t step : {std::int64_t{7}, std::int64_t{1} << 40}) {
    for (int b = 0; b < 2; ++b) {
      const std::int64_t start = (step * 2 + b) * 3;
      const Batch one = sampler.batch(step, b, b + 1);
      for (int i = 0; i < 3; ++i) {
        ASSERT_EQ(one.inputs[i], (start + i) % 10);
        ASSERT_EQ(one.targets[i], (start + i + 1) % 10);
      }
    }
  }
}

TEST_F(SamplerTest, ShuffledEpochsVisitEveryWindowOnce) {
  constexpr int context = 7;
  const TokenStream stream = counting(1003);
  const Sampler sampler(stream, Order::shuffled, 42, 5, context);
  ASSERT_EQ(sampler.windows(), 143);
  std::set<std::vector<std::int64_t>> orders;
  std::set<std::int64_t> offsets;
  for (std::int64_t epoch = 0; epoch < 4; ++epoch) {
    std::vector<std::int64_t> starts;
    std::set<std::int64_t> covered;
    for (std::int64_t q = epoch * 143; q < (epoch + 1) * 143; ++q) {
      starts.push_back(sampler.start(q));
      for (int i = 0; i < context; ++i) covered.insert((starts.back() + i) % 1003);
    }
    EXPECT_EQ(covered.size(), 143u * context) << "windows of an epoch overlap";
    EXPECT_FALSE(std::is_sorted(starts.begin(), starts.end()));
    orders.insert(starts);
    offsets.insert(*std::min_element(starts.begin(), starts.end()));
  }
  EXPECT_EQ(orders.size(), 4u);
  EXPECT_GT(offsets.size(), 1u);
}

TEST_F(SamplerTest, ShuffledBatchesDependOnSeedAndStepAlone) {
  const TokenStream stream = counting(1003);
  const Sampler sampler(stream, Order::shuffled, 42, 6, 7);
  const Sampler later(stream, Order::shuffled, 42, 6, 7);
  const Sampler other(stream, Order::shuffled, 43, 6, 7);
  const Batch whole = later.batch(31);
  for (std::int64_t step = 0; step < 31; ++step) sampler.batch(step);
  EXPECT_EQ(sampler.batch(31).inputs, whole.inputs);
  EXPECT_NE(other.batch(31).inputs, whole.inputs);
  EXPECT_NE(sampler.batch(30).inputs, whole.inputs);

  Batch parts;
  for (const auto& [first, last] : {std::pair{0, 1}, std::pair{1, 4}, std::pair{4, 6}}) {
    const Batch part = sampler.batch(31, first, last);
    parts.inputs.insert(parts.inputs.end(), part.inputs.begin(), part.inputs.end());
    parts.targets.insert(parts.targets.end(), part.targets.begin(), part.targets.end());
  }
  EXPECT_EQ(parts.inputs, whole.inputs);
  EXPECT_EQ(parts.targets, whole.targets);
  for (std::size_t i = 0; i < whole.inputs.size(); ++i) {
    ASSERT_EQ(whole.targets[i], (whole.inputs[i] + 1) % 1003);
  }
}

TEST_F(SamplerTest, ValidationReadsTheFirstWindows) {
  const TokenStream stream = counting(20);
  const Batch batch = validation_sampler(stream, 2, 4).batch(0);
  EXPECT_THAT(batch.inputs, ElementsAre(0, 1, 2, 3, 4, 5, 6, 7));
  EXPECT_THAT(batch.targets, ElementsAre(1, 2, 3, 4, 5, 6, 7, 8));
}

TEST_F(SamplerTest, RefusesTooFewTokens) {
  const TokenStream stream = counting(8);
  test::expect_error(ExitCode::io, "8.bin: 8 tokens, expected at least 9 (model.context + 1)",
                     [&] { Sampler(stream, Order::shuffled, 1, 1, 8); });
  EXPECT_EQ(Sampler(stream, Order::shuffled, 1, 1, 7).batch(0).inputs.size(), 7u);
}

TEST(Permutation, IsOneToOneOnAnySize) {
  for (std::int64_t size : {1, 2, 3, 4, 5, 15, 16, 17, 255, 256, 257, 1000, 65537}) {
    for (const std::uint64_t key : {0u, 1u, 12345u}) {
      const Permutation permutation(size, key);
      std::vector<bool> hit(static_cast<std::size_t>(size), false);
      for (std::int64_t i = 0; i < size; ++i) {
        const std::int64_t j = permutation(i);
        ASSERT_TRUE(0 <= j && j < size);
        ASSERT_FALSE(hit[static_cast<std::size_t>(j)]);
        hit[static_cast<std::size_t>(j)] = true;
      }
    }
  }
}

TEST(Permutation, HandlesHugeSizes) {
  const std::int64_t size = (std::int64_t{1} << 61) + 3;
  const Permutation permutation(size, 7);
  for (const std::int64_t i : {std::int64_t{0}, std::int64_t{1}, size - 1}) {
    EXPECT_TRUE(0 <= permutation(i) && permutation(i) < size);
  }
}

/// Over keys, every index should go everywhere equally often: chi-square with (size - 1)^2 degrees of
/// freedom, refused beyond six standard deviations.
TEST(Permutation, IsUniformOverKeys) {
  for (const int size : {5, 8, 13}) {
    constexpr int keys = 20000;
    std::vector<double> count(static_cast<std::size_t>(size * size), 0.0);
    for (std::uint64_t key = 0; key < keys; ++key) {
      const Permutation permutation(size, key);
      for (int i = 0; i < size; ++i) count[static_cast<std::size_t>(i * size + permutation(i))] += 1;
    }
    const double expected = static_cast<double>(keys) / size;
    double chi_square = 0;
    for (const double c : count) chi_square += (c - expected) * (c - expected) / expected;
    const double freedom = (size - 1.0) * (size - 1.0);
    EXPECT_LT(chi_square, freedom + 6 * std::sqrt(2 * freedom)) << size;
    EXPECT_GT(chi_square, freedom - 6 * std::sqrt(2 * freedom)) << size;
  }
}

}  // namespace
}  // namespace strait::data
