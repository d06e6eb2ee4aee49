// Attention cut in every way: several blocks of queries and of keys, heads in place and packed, batches that
// do not divide the heads. What is asked of one tile, attention_test.cpp asks.

#include "strait/kernels/attention.hpp"

#include "support/attention.hpp"
#include "support/bfloat16.hpp"
#include "support/finite_difference.hpp"
#include "support/tensors.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace strait::kernels {
namespace {

using test::qkv_columns;
using test::query_columns;
using test::tokens_of;
using Reference = test::AttentionReference;
template <class T>
using Result = test::AttentionResult<T>;

std::string name_of(const AttentionShape& s, const AttentionTiling& t) {
  return "length " + std::to_string(s.sequence_length) + ", tiles of " + std::to_string(t.query_rows) +
         " queries, " + std::to_string(t.key_rows) + " keys, batches of " + std::to_string(t.batch) +
         (t.in_place ? ", in place" : ", packed");
}

/// Tiles that are square, wide, tall, larger than the sequence, and without any order.
std::vector<AttentionTiling> tilings() {
  std::vector<AttentionTiling> all;
  for (const bool in_place : {true, false}) {
    for (const AttentionTiling t :
         {AttentionTiling{32, 32, 2}, AttentionTiling{16, 64, 1}, AttentionTiling{64, 16, 3},
          AttentionTiling{7, 5, 4}, AttentionTiling{40, 9, 5}, AttentionTiling{256, 256, 100}}) {
      all.push_back({t.query_rows, t.key_rows, t.batch, in_place});
    }
  }
  return all;
}

const AttentionShape shapes[] = {{1, 1, 1, 1, 1}, {3, 97, 6, 2, 7}, {2, 64, 2, 2, 16}};

template <class T>
class AttentionTilings : public ::testing::Test {};
using Scalars = ::testing::Types<float, double>;
TYPED_TEST_SUITE(AttentionTilings, Scalars);

TYPED_TEST(AttentionTilings, FollowTheDefinition) {
  using T = TypeParam;
  const ExecutionSpace exec;
  const double tolerance = 40 * std::numeric_limits<T>::epsilon();
  for (const AttentionShape& s : shapes) {
    const auto qkv = test::random_matrix<T>(exec, tokens_of(s), qkv_columns(s), 1, 2.0, 3);
    const auto dout = test::random_matrix<T>(exec, tokens_of(s), query_columns(s), 2, 1.0, 5);
    const Reference expected(exec, qkv, dout, s);
    for (const AttentionTiling& tiling : tilings()) {
      SCOPED_TRACE(name_of(s, tiling));
      const Result<T> result(exec, qkv, dout, s, tiling);
      EXPECT_LT(test::relative_difference(exec, result.out, expected.out), tolerance);
      EXPECT_LT(test::relative_difference(exec, result.lse, expected.lse), tolerance);
      if (s.sequence_length > 1) {
        EXPECT_LT(test::relative_difference(exec, result.dqkv, expected.dqkv), tolerance);
      }
    }
  }
}

/// Keys grow along the sequence, so that each block has scores far above those before it: what was summed
/// up is scaled down again and again, mostly to nothing.
TYPED_TEST(AttentionTilings, TheMaximumMayMoveFromBlockToBlock) {
  using T = TypeParam;
  const ExecutionSpace exec;
  const AttentionShape s{1, 80, 2, 1, 8};
  const auto qkv = test::random_matrix<T>(exec, tokens_of(s), qkv_columns(s), 1);
  const auto dout = test::random_matrix<T>(exec, tokens_of(s), query_columns(s), 2);
  auto host = to_host(exec, qkv);
  for (int position = 0; position < s.sequence_length; ++position) {
    for (int c = 0; c < query_columns(s); ++c) host(position, c) = std::abs(host(position, c));
    for (int c = 0; c < s.head_dim; ++c) host(position, query_columns(s) + c) += T(position);
  }
  to_device(exec, qkv, host);
  const Reference expected(exec, qkv, dout, s);
  // Scores near 200 carry their rounding error into the exponent.
  const double tolerance = 2000 * std::numeric_limits<T>::epsilon();
  for (const AttentionTiling& tiling : tilings()) {
    SCOPED_TRACE(name_of(s, tiling));
    const Result<T> result(exec, qkv, dout, s, tiling);
    EXPECT_LT(test::relative_difference(exec, result.out, expected.out), tolerance);
    EXPECT_LT(test::relative_difference(exec, result.dqkv, expected.dqkv), tolerance);
  }
}

TYPED_TEST(AttentionTilings, ANonFiniteInputShowsInTheOutput) {
  using T = TypeParam;
  const ExecutionSpace exec;
  const AttentionShape s{1, 60, 2, 1, 8};
  const auto dout = test::random_matrix<T>(exec, tokens_of(s), query_columns(s), 2);
  for (const AttentionTiling& tiling : tilings()) {
    SCOPED_TRACE(name_of(s, tiling));
    for (const int column : {0, 16, 24}) {  // a query, a key, a value
      const auto qkv = test::random_matrix<T>(exec, tokens_of(s), qkv_columns(s), 1);
      auto host = to_host(exec, qkv);
      host(5, column) = std::numeric_limits<T>::quiet_NaN();
      to_device(exec, qkv, host);
      const Result<T> result(exec, qkv, dout, s, tiling);
      const auto out = to_host(exec, result.out);
      for (int position = 5; position < (column == 0 ? 6 : 60); ++position) {
        EXPECT_TRUE(std::isnan(out(position, 0))) << "column " << column << ", position " << position;
      }
    }
  }
}

/// Products of bfloat16 numbers: inputs are exact, probabilities and gradients of scores are rounded before
/// they are multiplied, results once more.
TEST(AttentionOfBfloat16, FollowsTheDefinitionInPlace) {
  const ExecutionSpace exec;
  constexpr double rounding = 0x1p-9;
  for (const AttentionShape& s : shapes) {
    const auto qkv = test::narrow_matrix(exec, tokens_of(s), qkv_columns(s), 1, 2.0, 3);
    const auto dout = test::narrow_matrix(exec, tokens_of(s), query_columns(s), 2, 1.0, 5);
    const Reference expected(exec, qkv, dout, s);
    for (AttentionTiling tiling : tilings()) {
      if (!tiling.in_place) continue;
      SCOPED_TRACE(name_of(s, tiling));
      const Result<bfloat16> result(exec, qkv, dout, s, tiling);
      EXPECT_LT(test::relative_difference(exec, result.out, expected.out), 2 * rounding);
      EXPECT_LT(test::relative_difference(exec, result.lse, expected.lse), 1e-5);
      if (s.sequence_length > 1) {
        EXPECT_LT(test::relative_difference(exec, result.dqkv, expected.dqkv), 2 * rounding);
      }
    }
  }
}

/// Where heads are packed the factors are as wide as their sums.
TEST(AttentionOfBfloat16, RoundsFactorsInPlace) {
  const ExecutionSpace exec;
  const AttentionShape s{2, 64, 2, 2, 16};
  const auto qkv = test::narrow_matrix(exec, tokens_of(s), qkv_columns(s), 1, 2.0);
  const auto dout = test::narrow_matrix(exec, tokens_of(s), query_columns(s), 2);
  const Result<bfloat16> in_place(exec, qkv, dout, s, {.in_place = true}),
      packed(exec, qkv, dout, s, {.in_place = false});
  EXPECT_GT(test::relative_difference(exec, in_place.out, packed.out), 0.0);
  EXPECT_GT(test::relative_difference(exec, in_place.dqkv, packed.dqkv), 0.0);
}

TEST(AttentionTilingsGradient, MatchesFiniteDifferences) {
  const ExecutionSpace exec;
  const AttentionShape s{1, 23, 2, 1, 4};
  const auto qkv = test::random_matrix<double>(exec, tokens_of(s), qkv_columns(s), 1);
  const auto dout = test::random_matrix<double>(exec, tokens_of(s), query_columns(s), 2);
  for (const AttentionTiling& tiling : tilings()) {
    SCOPED_TRACE(name_of(s, tiling));
    const Result<double> result(exec, qkv, dout, s, tiling);
    const auto loss = [&] {
      attention_forward<double>(exec, result.out, result.lse, qkv, s, tiling);
      return test::inner_product(exec, result.out, dout);
    };
    test::expect_gradient(exec, "qkv", qkv, result.dqkv, loss, {.entries = 100});
  }
}

}  // namespace
}  // namespace strait::kernels
