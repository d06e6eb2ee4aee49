// Codewords: k-means at the start, dead codewords. The moving average has its reference in
// tests/codec/codeword_average_test.cpp.
#include "strait/kernels/codeword_statistics.hpp"

#include "support/codewords.hpp"

#include <gtest/gtest.h>

namespace strait::kernels {
namespace {

template <class T>
class Codewords : public ::testing::Test {
 protected:
  ExecutionSpace exec;
};
using Scalars = ::testing::Types<float, double>;
TYPED_TEST_SUITE(Codewords, Scalars);

/// Tokens around `centres` well-separated points per group.
template <class T>
Matrix<T> clusters(const ExecutionSpace& exec, std::int64_t tokens, const CodebookShape& shape, int centres) {
  const auto x = test::random_matrix<T>(exec, tokens, shape.columns(), 5, 0.1);
  auto host = to_host(exec, x);
  for (std::int64_t t = 0; t < tokens; ++t) {
    for (int j = 0; j < shape.columns(); ++j) {
      host(t, j) += static_cast<T>(5.0 * std::sin(1.0 + static_cast<double>(t % centres) * (j + 1)));
    }
  }
  to_device(exec, x, host);
  return x;
}

template <class T>
struct Start {
  Start(const ExecutionSpace& exec, const Matrix<T>& x, const CodebookShape& shape, std::uint64_t seed)
      : codewords("strait::test::codewords", shape.all_codewords(), shape.width),
        statistics(shape.all_codewords(), shape.width),
        indices("strait::test::indices", shape.groups, x.extent(0)),
        residuals(test::tiles_of<T>(exec, x)) {
    start_codewords<T>(exec, codewords, statistics, indices, residuals, shape, {.seed = seed, .stream = 4});
  }
  Matrix<T> codewords;
  CodewordStatistics statistics;
  CodeIndices indices;
  Matrix<T> residuals;
};

TYPED_TEST(Codewords, KMeansIsReproducible) {
  using T = TypeParam;
  const CodebookShape shape{3, 16, 4};
  const auto x = clusters<T>(this->exec, 300, shape, 16);
  const Start<T> first(this->exec, x, shape, 1), again(this->exec, x, shape, 1),
      other(this->exec, x, shape, 2);
  EXPECT_EQ(test::relative_difference(this->exec, first.codewords, again.codewords), 0.0);
  EXPECT_EQ(test::relative_difference(this->exec, first.statistics.sums, again.statistics.sums), 0.0);
  EXPECT_GT(test::relative_difference(this->exec, first.codewords, other.codewords), 0.1);
}

TYPED_TEST(Codewords, KMeansStartsWithCountsAndSumsOfItsClusters) {
  using T = TypeParam;
  const CodebookShape shape{2, 6, 4};
  const auto x = clusters<T>(this->exec, 240, shape, 6);
  const Start<T> start(this->exec, x, shape, 3);
  const auto counts = to_host(this->exec, start.statistics.counts);
  const auto sums = to_host(this->exec, start.statistics.sums);
  const auto codewords = to_host(this->exec, start.codewords);
  for (int group = 0; group < 2; ++group) {
    double total = 0.0;
    for (int k = 6 * group; k < 6 * group + 6; ++k) {
      total += counts(k);
      if (counts(k) == 0.0) continue;
      for (int d = 0; d < 4; ++d) EXPECT_NEAR(sums(k, d) / counts(k), codewords(k, d), 1e-5);
    }
    EXPECT_EQ(total, 240.0);
  }
  // As many codewords as tokens stand for each token exactly.
  const CodebookShape all{2, 240, 4};
  const Start<T> exact(this->exec, x, all, 3);
  nearest_codewords<T>(this->exec, exact.indices, exact.residuals, exact.codewords, all, Residual::subtract);
  EXPECT_EQ(test::squares_of_tiles<T>(this->exec, exact.residuals), 0.0);
}

TYPED_TEST(Codewords, EveryRoundLessensTheError) {
  using T = TypeParam;
  const CodebookShape shape{4, 32, 4};
  const auto x = test::random_matrix<T>(this->exec, 500, shape.columns(), 9);
  Start<T> start(this->exec, x, shape, 1);
  double error = test::squares_of_tiles<T>(this->exec, start.residuals);
  for (int round = 0; round < 4; ++round) {
    start_codewords<T>(this->exec, start.codewords, start.statistics, start.indices, start.residuals, shape,
                       {.seed = 1, .stream = 5});
    nearest_codewords<T>(this->exec, start.indices, start.residuals, start.codewords, shape,
                         Residual::subtract);
    const double left = test::squares_of_tiles<T>(this->exec, start.residuals);
    EXPECT_LT(left, 0.7 * error) << "round " << round;
    error = left;
  }
}

TYPED_TEST(Codewords, DeadOnesAreReplacedInTheirTurnOnly) {
  using T = TypeParam;
  const ExecutionSpace& exec = this->exec;
  constexpr int tokens = 90;
  const CodebookShape shape{2, 8, 3};
  const auto x = test::random_matrix<T>(exec, tokens, shape.columns(), 1);
  const auto residuals = test::tiles_of<T>(exec, x);
  const auto codewords = test::random_matrix<T>(exec, shape.all_codewords(), shape.width, 2, 9.0);
  const CodewordStatistics average(16, 3), seen(16, 3);
  auto counts = to_host(exec, average.counts);
  for (int k = 0; k < 16; ++k) counts(k) = k % 8 == 7 || k % 8 == 0 || k % 8 == 3 ? 0.5 : 20.0;
  to_device(exec, average.counts, counts);
  Kokkos::deep_copy(exec, seen.counts, 2.0);
  Kokkos::deep_copy(exec, seen.sums, 2.0);
  const auto before = to_host(exec, codewords);
  // The turn of 6, 7 and 0, of which 7 and 0 are dead: 3 is too, and waits.
  const auto replace = [&](const Matrix<T>& of, const CodewordStatistics& statistics, std::uint64_t index) {
    replace_dead_codewords<T>(exec, of, statistics, seen, residuals, tokens, shape, {.first = 6, .count = 3},
                              0.1, {.seed = 3, .stream = 8, .index = index});
  };
  replace(codewords, average, 5);
  const auto after = to_host(exec, codewords);
  const auto host_x = to_host(exec, x);
  const auto new_counts = to_host(exec, average.counts), seen_counts = to_host(exec, seen.counts);
  const auto sums = to_host(exec, average.sums);
  for (int group = 0; group < 2; ++group) {
    const double mean = (5 * 20.0 + 3 * 0.5) / 8;
    for (int code = 0; code < 8; ++code) {
      const int k = 8 * group + code;
      const bool replaced = code == 7 || code == 0;
      EXPECT_EQ(seen_counts(k), replaced ? 0.0 : 2.0);
      EXPECT_NEAR(new_counts(k), replaced ? 0.1 * mean : counts(k), 1e-12);
      bool is_token = false;
      for (int t = 0; t < tokens; ++t) {
        bool same = true;
        for (int d = 0; d < 3; ++d) same = same && host_x(t, 3 * group + d) == after(k, d);
        is_token = is_token || same;
      }
      EXPECT_EQ(is_token, replaced);
      for (int d = 0; d < 3; ++d) {
        if (replaced) {
          EXPECT_NEAR(sums(k, d), new_counts(k) * static_cast<double>(after(k, d)), 1e-12);
        } else {
          EXPECT_EQ(after(k, d), before(k, d));
        }
      }
    }
  }
}

}  // namespace
}  // namespace strait::kernels
