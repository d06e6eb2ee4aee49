// The search for the nearest codewords: against the definition, ties, residual rounds.
#include "strait/kernels/vector_quantisation.hpp"

#include "support/codewords.hpp"

#include <gtest/gtest.h>

namespace strait::kernels {
namespace {

template <class T>
class VectorQuantisation : public ::testing::Test {
 protected:
  ExecutionSpace exec;
};
using Scalars = ::testing::Types<float, double>;
TYPED_TEST_SUITE(VectorQuantisation, Scalars);

const CodebookShape shapes[] = {{1, 2, 1}, {3, 8, 4}, {2, 13, 5}, {8, 256, 16}, {1, 1000, 24}};

TYPED_TEST(VectorQuantisation, TilesHoldAllTokensAndZerosBeyond) {
  using T = TypeParam;
  for (const std::int64_t tokens : {1, 31, 32, 33, 100}) {
    const auto x = test::random_matrix<T>(this->exec, tokens, 6, 3, 1.0, 2);
    const auto tiles = test::tiles_of<T>(this->exec, x);
    EXPECT_NEAR(test::squares_of_tiles<T>(this->exec, tiles), test::inner_product(this->exec, x, x), 1e-4);
    const auto y = test::random_matrix<T>(this->exec, tokens, 6, 4);
    from_tiles<T>(this->exec, y, tiles);
    EXPECT_EQ(test::relative_difference(this->exec, y, x), 0.0);
    from_tiles<T>(this->exec, y, tiles, 2.0);
    EXPECT_NEAR(test::inner_product(this->exec, y, x), 3.0 * test::inner_product(this->exec, x, x), 1e-4);
  }
}

TYPED_TEST(VectorQuantisation, FindsTheNearestCodeword) {
  using T = TypeParam;
  for (const CodebookShape& shape : shapes) {
    constexpr std::int64_t tokens = 77;
    const auto x = test::random_matrix<T>(this->exec, tokens, shape.columns(), 1);
    const auto codewords = test::random_matrix<T>(this->exec, shape.all_codewords(), shape.width, 2);
    const auto residuals = test::tiles_of<T>(this->exec, x);
    const CodeIndices indices("strait::test::indices", shape.groups, tokens);
    nearest_codewords<T>(this->exec, indices, residuals, codewords, shape, Residual::keep);
    const auto found = to_host(this->exec, indices);
    const auto host_x = to_host(this->exec, x);
    const auto host_codewords = to_host(this->exec, codewords);
    const auto distance = [&](std::int64_t token, int group, int k) {
      double sum = 0.0;
      for (int d = 0; d < shape.width; ++d) {
        const double difference = double(host_x(token, group * shape.width + d)) -
                                  double(host_codewords(std::int64_t{group} * shape.codewords + k, d));
        sum += difference * difference;
      }
      return sum;
    };
    for (int group = 0; group < shape.groups; ++group) {
      for (std::int64_t token = 0; token < tokens; ++token) {
        const int wanted = test::nearest_by_definition(host_x, host_codewords, shape, token, group);
        ASSERT_LT(found(group, token), shape.codewords);
        ASSERT_NEAR(distance(token, group, found(group, token)), distance(token, group, wanted), 1e-5);
      }
    }
  }
}

TYPED_TEST(VectorQuantisation, TakesTheLowestOfEquals) {
  using T = TypeParam;
  const CodebookShape shape{2, 21, 3};
  const auto codewords = test::random_matrix<T>(this->exec, shape.all_codewords(), shape.width, 2);
  auto host = to_host(this->exec, codewords);
  for (int group = 0; group < 2; ++group) {
    for (const int copy : {9, 10, 20}) {
      for (int d = 0; d < 3; ++d) host(group * 21 + copy, d) = host(group * 21 + 4, d);
    }
  }
  to_device(this->exec, codewords, host);
  constexpr int tokens = 40;
  const Matrix<T> x("strait::test::x", tokens, shape.columns());
  auto host_x = to_host(this->exec, x);
  for (int t = 0; t < tokens; ++t) {
    for (int j = 0; j < 6; ++j) host_x(t, j) = host(j / 3 * 21 + 4, j % 3);
  }
  to_device(this->exec, x, host_x);
  const CodeIndices indices("strait::test::indices", 2, tokens);
  nearest_codewords<T>(this->exec, indices, test::tiles_of<T>(this->exec, x), codewords, shape,
                       Residual::keep);
  const auto found = to_host(this->exec, indices);
  for (int group = 0; group < 2; ++group) {
    for (int t = 0; t < tokens; ++t) EXPECT_EQ(found(group, t), 4);
  }
}

TYPED_TEST(VectorQuantisation, SubtractsWhatItFindsAndCanAddItAgain) {
  using T = TypeParam;
  const CodebookShape shape{4, 16, 8};
  const auto x = test::random_matrix<T>(this->exec, 50, shape.columns(), 1);
  const auto codewords = test::random_matrix<T>(this->exec, shape.all_codewords(), shape.width, 2);
  const auto residuals = test::tiles_of<T>(this->exec, x);
  const CodeIndices indices("strait::test::indices", shape.groups, 50);
  nearest_codewords<T>(this->exec, indices, residuals, codewords, shape, Residual::subtract);
  const Matrix<T> left("strait::test::left", 50, shape.columns());
  from_tiles<T>(this->exec, left, residuals);
  const auto host = to_host(this->exec, left);
  const auto found = to_host(this->exec, indices);
  const auto host_x = to_host(this->exec, x);
  const auto host_codewords = to_host(this->exec, codewords);
  for (int token = 0; token < 50; ++token) {
    for (int j = 0; j < shape.columns(); ++j) {
      const int group = j / shape.width;
      EXPECT_EQ(
          host(token, j),
          host_x(token, j) - host_codewords(group * shape.codewords + found(group, token), j % shape.width));
    }
  }
  add_codewords<T>(this->exec, residuals, indices, codewords, shape);
  from_tiles<T>(this->exec, left, residuals);
  EXPECT_LT(test::relative_difference(this->exec, left, x), 1e-6);
}

}  // namespace
}  // namespace strait::kernels
