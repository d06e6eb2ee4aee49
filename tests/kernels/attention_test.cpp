#include "strait/kernels/attention.hpp"

#include "support/finite_difference.hpp"
#include "support/tensors.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace strait::kernels {
namespace {

std::int64_t tokens_of(const AttentionShape& s) { return std::int64_t(s.sequences) * s.sequence_length; }
std::int64_t query_columns(const AttentionShape& s) { return s.heads * s.head_dim; }
std::int64_t qkv_columns(const AttentionShape& s) { return (s.heads + 2 * s.kv_heads) * s.head_dim; }

/// The definition in double on the host, one query at a time.
struct Reference {
  Matrix<double> out, lse, dqkv;

  template <class T>
  Reference(const ExecutionSpace& exec, const Matrix<T>& qkv_device, const Matrix<T>& dout_device,
            const AttentionShape& s)
      : out("strait::test::out", tokens_of(s), query_columns(s)),
        lse("strait::test::lse", tokens_of(s), s.heads),
        dqkv("strait::test::dqkv", tokens_of(s), qkv_columns(s)) {
    const auto qkv = to_host(exec, qkv_device), dout = to_host(exec, dout_device);
    auto o = to_host(exec, out), l = to_host(exec, lse), d = to_host(exec, dqkv);
    const double scale = 1.0 / std::sqrt(double(s.head_dim));
    for (int sequence = 0; sequence < s.sequences; ++sequence) {
      for (int h = 0; h < s.heads; ++h) {
        const int q = h * s.head_dim, kv = h / (s.heads / s.kv_heads) * s.head_dim;
        const int k = s.heads * s.head_dim + kv, v = k + s.kv_heads * s.head_dim;
        for (int position = 0; position < s.sequence_length; ++position) {
          const int first = sequence * s.sequence_length, i = first + position;
          std::vector<double> p(position + 1), dp(position + 1);
          double maximum = -std::numeric_limits<double>::infinity(), sum = 0.0, mean = 0.0;
          for (int j = 0; j <= position; ++j) {
            for (int c = 0; c < s.head_dim; ++c) {
              p[j] += scale * double(qkv(i, q + c)) * double(qkv(first + j, k + c));
              dp[j] += double(dout(i, q + c)) * double(qkv(first + j, v + c));
            }
            maximum = std::max(maximum, p[j]);
          }
          for (const double score : p) sum += std::exp(score - maximum);
          l(i, h) = maximum + std::log(sum);
          for (int j = 0; j <= position; ++j) {
            p[j] = std::exp(p[j] - l(i, h));
            mean += p[j] * dp[j];
          }
          for (int j = 0; j <= position; ++j) {
            const double ds = p[j] * (dp[j] - mean) * scale;
            for (int c = 0; c < s.head_dim; ++c) {
              o(i, q + c) += p[j] * double(qkv(first + j, v + c));
              d(i, q + c) += ds * double(qkv(first + j, k + c));
              d(first + j, k + c) += ds * double(qkv(i, q + c));
              d(first + j, v + c) += p[j] * double(dout(i, q + c));
            }
          }
        }
      }
    }
    to_device(exec, out, o);
    to_device(exec, lse, l);
    to_device(exec, dqkv, d);
  }
};

/// Forward and backward into tensors that hold NaN before: everything must be assigned.
template <class T>
struct Result {
  Matrix<T> out, lse, dqkv;

  Result(const ExecutionSpace& exec, const Matrix<T>& qkv, const Matrix<T>& dout, const AttentionShape& s)
      : out("strait::test::out", tokens_of(s), query_columns(s)),
        lse("strait::test::lse", tokens_of(s), s.heads),
        dqkv("strait::test::dqkv", tokens_of(s), qkv_columns(s)) {
    for (const auto& tensor : {out, lse, dqkv}) {
      Kokkos::deep_copy(exec, tensor, std::numeric_limits<T>::quiet_NaN());
    }
    attention_forward<T>(exec, out, lse, qkv, s);
    attention_backward<T>(exec, dqkv, dout, qkv, out, lse, s);
  }
};

template <class T>
class Attention : public ::testing::Test {};
using Scalars = ::testing::Types<float, double>;
TYPED_TEST_SUITE(Attention, Scalars);

TYPED_TEST(Attention, FollowsTheDefinitionForEveryShape) {
  using T = TypeParam;
  const ExecutionSpace exec;
  const AttentionShape shapes[] = {
      {1, 1, 1, 1, 1},     // the smallest
      {2, 1, 2, 1, 4},     // one token a sequence
      {3, 31, 2, 2, 8},    // shorter than a tile
      {2, 32, 2, 2, 64},   // one tile
      {2, 33, 4, 2, 16},   // one row more
      {1, 97, 6, 2, 7},    // head size without a factor of 4, three queries a key head
      {1, 200, 1, 1, 160}  // keys that need more than one product
  };
  for (const AttentionShape& s : shapes) {
    const auto qkv = test::random_matrix<T>(exec, tokens_of(s), qkv_columns(s), 1, 2.0);
    const auto dout = test::random_matrix<T>(exec, tokens_of(s), query_columns(s), 2);
    const Reference expected(exec, qkv, dout, s);
    const Result<T> result(exec, qkv, dout, s);
    const double tolerance = 40 * std::numeric_limits<T>::epsilon();
    SCOPED_TRACE("length " + std::to_string(s.sequence_length) + ", heads " + std::to_string(s.heads) + '/' +
                 std::to_string(s.kv_heads) + ", head_dim " + std::to_string(s.head_dim));
    EXPECT_LT(test::relative_difference(exec, result.out, expected.out), tolerance);
    EXPECT_LT(test::relative_difference(exec, result.lse, expected.lse), tolerance);
    if (s.sequence_length > 1) {
      EXPECT_LT(test::relative_difference(exec, result.dqkv, expected.dqkv), tolerance);
    }
  }
}

TYPED_TEST(Attention, RowsMayBeStrided) {
  using T = TypeParam;
  const ExecutionSpace exec;
  const AttentionShape s{2, 40, 2, 1, 8};
  const auto plain = test::random_matrix<T>(exec, tokens_of(s), qkv_columns(s), 1);
  const auto strided = test::random_matrix<T>(exec, tokens_of(s), qkv_columns(s), 1, 1.0, 5);
  const auto dout = test::random_matrix<T>(exec, tokens_of(s), query_columns(s), 2);
  const Result<T> a(exec, plain, dout, s), b(exec, strided, dout, s);
  EXPECT_EQ(test::relative_difference(exec, a.out, b.out), 0.0);
  EXPECT_EQ(test::relative_difference(exec, a.dqkv, b.dqkv), 0.0);
}

TYPED_TEST(Attention, NoTokenSeesALaterOneOrAnotherSequence) {
  using T = TypeParam;
  const ExecutionSpace exec;
  const AttentionShape s{2, 70, 2, 2, 8};
  const auto qkv = test::random_matrix<T>(exec, tokens_of(s), qkv_columns(s), 1);
  const auto dout = test::random_matrix<T>(exec, tokens_of(s), query_columns(s), 2);
  const Result<T> before(exec, qkv, dout, s);
  constexpr int changed = 41;
  auto host = to_host(exec, qkv);
  for (int column = 0; column < qkv_columns(s); ++column) host(changed, column) += T(1);
  to_device(exec, qkv, host);
  const Result<T> after(exec, qkv, dout, s);
  EXPECT_EQ(test::relative_difference(exec, rows(after.out, 0, changed), rows(before.out, 0, changed)), 0.0);
  EXPECT_EQ(test::relative_difference(exec, rows(after.out, 70, 140), rows(before.out, 70, 140)), 0.0);
  EXPECT_GT(test::relative_difference(exec, rows(after.out, changed, 70), rows(before.out, changed, 70)),
            1e-3);
}

TYPED_TEST(Attention, LargeScoresDoNotOverflow) {
  using T = TypeParam;
  const ExecutionSpace exec;
  const AttentionShape s{1, 50, 1, 1, 16};
  const auto qkv = test::random_matrix<T>(exec, tokens_of(s), qkv_columns(s), 1, 100.0);
  const auto dout = test::random_matrix<T>(exec, tokens_of(s), query_columns(s), 2);
  const Reference expected(exec, qkv, dout, s);
  const Result<T> result(exec, qkv, dout, s);
  // Scores near 10^4 carry their rounding error into the exponent.
  const double tolerance = 1e5 * std::numeric_limits<T>::epsilon();
  EXPECT_LT(test::relative_difference(exec, result.out, expected.out), tolerance);
  EXPECT_LT(test::relative_difference(exec, result.dqkv, expected.dqkv), tolerance);
}

TYPED_TEST(Attention, ANonFiniteInputShowsInTheOutput) {
  using T = TypeParam;
  const ExecutionSpace exec;
  const AttentionShape s{1, 40, 2, 1, 8};
  const auto dout = test::random_matrix<T>(exec, tokens_of(s), query_columns(s), 2);
  for (const T bad : {std::numeric_limits<T>::quiet_NaN(), std::numeric_limits<T>::infinity()}) {
    for (const int column : {0, 16, 24}) {  // a query, a key, a value
      const auto qkv = test::random_matrix<T>(exec, tokens_of(s), qkv_columns(s), 1);
      auto host = to_host(exec, qkv);
      host(5, column) = bad;
      to_device(exec, qkv, host);
      const Result<T> result(exec, qkv, dout, s);
      const auto out = to_host(exec, result.out), dqkv = to_host(exec, result.dqkv);
      bool seen = false, seen_backward = false;
      for (int c = 0; c < query_columns(s); ++c) seen = seen || !std::isfinite(out(5, c));
      for (int c = 0; c < qkv_columns(s); ++c) seen_backward = seen_backward || !std::isfinite(dqkv(5, c));
      EXPECT_TRUE(seen) << "column " << column << ", value " << bad;
      EXPECT_TRUE(seen_backward) << "column " << column << ", value " << bad;
    }
  }
}

TEST(AttentionGradient, MatchesFiniteDifferences) {
  const ExecutionSpace exec;
  for (const AttentionShape& s : {AttentionShape{2, 11, 4, 2, 6}, {1, 41, 2, 1, 4}}) {
    const auto qkv = test::random_matrix<double>(exec, tokens_of(s), qkv_columns(s), 1);
    const auto dout = test::random_matrix<double>(exec, tokens_of(s), query_columns(s), 2);
    const Result<double> result(exec, qkv, dout, s);
    const auto loss = [&] {
      attention_forward<double>(exec, result.out, result.lse, qkv, s);
      return test::inner_product(exec, result.out, dout);
    };
    test::expect_gradient(exec, "qkv", qkv, result.dqkv, loss, {.entries = 200});
  }
}

TEST(AttentionDeathTest, ShapesThatDoNotMatchAreAProgrammingError) {
  const ExecutionSpace exec;
  const Matrix<float> qkv("strait::test::qkv", 8, 24), out("strait::test::out", 8, 8);
  const Matrix<float> lse("strait::test::lse", 8, 2);
  EXPECT_DEATH(attention_forward<float>(exec, out, lse, qkv, {2, 5, 2, 2, 4}), "extents of qkv");
  EXPECT_DEATH(attention_forward<float>(exec, out, lse, qkv, {2, 4, 2, 2, 5}), "extents of qkv");
  EXPECT_DEATH(attention_forward<float>(exec, lse, lse, qkv, {2, 4, 2, 2, 4}), "extents of out");
  EXPECT_DEATH(attention_forward<float>(exec, out, out, qkv, {2, 4, 2, 2, 4}), "extents of lse");
  EXPECT_DEATH(attention_forward<float>(exec, out, lse, qkv, {2, 4, 3, 2, 4}), "must divide heads");
}

}  // namespace
}  // namespace strait::kernels
