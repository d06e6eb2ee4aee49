#include "strait/kernels/cross_entropy.hpp"

#include "support/finite_difference.hpp"
#include "support/tensors.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace strait::kernels {
namespace {

constexpr double gradient_scale = 0.25;

struct Problem {
  int tokens, hidden, vocab;
};

/// Ids spread over the vocabulary, the first and the last among them, some of them twice.
TokenIds spread_targets(const ExecutionSpace& exec, const Problem& p) {
  std::vector<std::int32_t> ids(p.tokens);
  for (int i = 0; i < p.tokens; ++i) ids[i] = i % 3 == 0 ? p.vocab - 1 : (i * 17) % p.vocab;
  return test::token_ids(exec, ids);
}

/// The definition in double on the host.
struct Reference {
  double loss = 0.0;
  Matrix<double> dx, dhead;

  template <class T>
  Reference(const ExecutionSpace& exec, const Matrix<T>& x_device, const Matrix<T>& head_device,
            const TokenIds& targets_device)
      : dx("strait::test::dx", x_device.extent(0), x_device.extent(1)),
        dhead("strait::test::dhead", head_device.extent(0), head_device.extent(1)) {
    const auto x = to_host(exec, x_device), head = to_host(exec, head_device);
    const auto targets = to_host(exec, targets_device);
    auto host_dx = to_host(exec, dx), host_dhead = to_host(exec, dhead);
    for (std::size_t i = 0; i < x.extent(0); ++i) {
      std::vector<double> logits(head.extent(0));
      double maximum = -std::numeric_limits<double>::infinity(), sum = 0.0;
      for (std::size_t v = 0; v < logits.size(); ++v) {
        for (std::size_t c = 0; c < x.extent(1); ++c) logits[v] += double(x(i, c)) * double(head(v, c));
        maximum = std::max(maximum, logits[v]);
      }
      for (const double logit : logits) sum += std::exp(logit - maximum);
      const auto target = static_cast<std::size_t>(targets(i));
      loss += maximum + std::log(sum) - logits[target];
      for (std::size_t v = 0; v < logits.size(); ++v) {
        const double gradient =
            gradient_scale * (std::exp(logits[v] - maximum) / sum - (v == target ? 1.0 : 0.0));
        for (std::size_t c = 0; c < x.extent(1); ++c) {
          host_dx(i, c) += gradient * double(head(v, c));
          host_dhead(v, c) += gradient * double(x(i, c));
        }
      }
    }
    to_device(exec, dx, host_dx);
    to_device(exec, dhead, host_dhead);
  }
};

/// Forward and backward, with dx filled by NaN before (it is assigned) and dhead by zeros (it accumulates).
template <class T>
struct Result {
  double forward_loss = 0.0, loss = 0.0;
  Matrix<T> dx, dhead;

  Result(const ExecutionSpace& exec, const Matrix<T>& x, const Matrix<T>& head, const TokenIds& targets,
         int chunk_tokens)
      : dx("strait::test::dx", x.extent(0), x.extent(1)),
        dhead("strait::test::dhead", head.extent(0), head.extent(1)) {
    const Vector<double> sum("strait::test::loss", 1);
    const CrossEntropyOptions options{.gradient_scale = gradient_scale, .chunk_tokens = chunk_tokens};
    Kokkos::deep_copy(exec, sum, std::numeric_limits<double>::quiet_NaN());
    cross_entropy_forward<T>(exec, sum, x, head, targets, options);
    forward_loss = to_host(exec, sum)(0);
    Kokkos::deep_copy(exec, dx, std::numeric_limits<T>::quiet_NaN());
    cross_entropy_forward_backward<T>(exec, sum, dx, dhead, x, head, targets, options);
    loss = to_host(exec, sum)(0);
  }
};

template <class T>
class CrossEntropy : public ::testing::Test {};
using Scalars = ::testing::Types<float, double>;
TYPED_TEST_SUITE(CrossEntropy, Scalars);

TYPED_TEST(CrossEntropy, FollowsTheDefinitionForEveryVocabularyAndChunk) {
  using T = TypeParam;
  const ExecutionSpace exec;
  for (const Problem& p : {Problem{1, 1, 1}, {5, 3, 2}, {37, 10, 33}, {19, 8, 2100}, {20, 16, 64}}) {
    const auto x = test::random_matrix<T>(exec, p.tokens, p.hidden, 1, 2.0);
    const auto head = test::random_matrix<T>(exec, p.vocab, p.hidden, 2);
    const TokenIds targets = spread_targets(exec, p);
    const Reference expected(exec, x, head, targets);
    for (const int chunk : {0, 1, 8, 1000}) {
      SCOPED_TRACE("tokens " + std::to_string(p.tokens) + ", vocab " + std::to_string(p.vocab) + ", chunk " +
                   std::to_string(chunk));
      const Result<T> result(exec, x, head, targets, chunk);
      const double tolerance = 40 * std::numeric_limits<T>::epsilon();
      EXPECT_NEAR(result.loss, expected.loss, tolerance * p.tokens);
      EXPECT_EQ(result.forward_loss, result.loss);
      if (p.vocab == 1) continue;  // every gradient is zero
      EXPECT_LT(test::relative_difference(exec, result.dx, expected.dx), tolerance);
      EXPECT_LT(test::relative_difference(exec, result.dhead, expected.dhead), tolerance);
    }
  }
}

TYPED_TEST(CrossEntropy, GradientOfTheInputMayOverwriteTheInput) {
  using T = TypeParam;
  const ExecutionSpace exec;
  const Problem p{37, 10, 33};
  const auto x = test::random_matrix<T>(exec, p.tokens, p.hidden, 1);
  const auto head = test::random_matrix<T>(exec, p.vocab, p.hidden, 2);
  const TokenIds targets = spread_targets(exec, p);
  const Result<T> apart(exec, x, head, targets, 8);
  const Matrix<T> dhead("strait::test::dhead", p.vocab, p.hidden);
  const Vector<double> sum("strait::test::loss", 1);
  cross_entropy_forward_backward<T>(exec, sum, x, dhead, x, head, targets,
                                    {.gradient_scale = gradient_scale, .chunk_tokens = 8});
  EXPECT_EQ(to_host(exec, sum)(0), apart.loss);
  EXPECT_EQ(test::relative_difference(exec, x, apart.dx), 0.0);
  EXPECT_EQ(test::relative_difference(exec, dhead, apart.dhead), 0.0);
}

TYPED_TEST(CrossEntropy, HeadGradientAccumulatesAndRepeatsExactly) {
  using T = TypeParam;
  const ExecutionSpace exec;
  const Problem p{50, 8, 40};
  const auto x = test::random_matrix<T>(exec, p.tokens, p.hidden, 1);
  const auto head = test::random_matrix<T>(exec, p.vocab, p.hidden, 2);
  const TokenIds same = test::token_ids(exec, std::vector<std::int32_t>(p.tokens, 7));
  const Result<T> first(exec, x, head, same, 0), second(exec, x, head, same, 0);
  EXPECT_EQ(first.loss, second.loss);
  EXPECT_EQ(test::relative_difference(exec, first.dx, second.dx), 0.0);
  EXPECT_EQ(test::relative_difference(exec, first.dhead, second.dhead), 0.0);

  const Vector<double> sum("strait::test::loss", 1);
  cross_entropy_forward_backward<T>(exec, sum, second.dx, second.dhead, x, head, same,
                                    {.gradient_scale = gradient_scale});
  auto twice = to_host(exec, first.dhead);
  for (std::size_t i = 0; i < twice.size(); ++i) twice.data()[i] *= T(2);
  to_device(exec, first.dhead, twice);
  EXPECT_LT(test::relative_difference(exec, second.dhead, first.dhead),
            8 * std::numeric_limits<T>::epsilon());
}

TYPED_TEST(CrossEntropy, LargeLogitsDoNotOverflow) {
  using T = TypeParam;
  const ExecutionSpace exec;
  const Problem p{12, 8, 50};
  const auto x = test::random_matrix<T>(exec, p.tokens, p.hidden, 1, 100.0);
  const auto head = test::random_matrix<T>(exec, p.vocab, p.hidden, 2, 10.0);
  const TokenIds targets = spread_targets(exec, p);
  const Reference expected(exec, x, head, targets);
  const Result<T> result(exec, x, head, targets, 0);
  EXPECT_NEAR(result.loss / expected.loss, 1.0, 1e3 * std::numeric_limits<T>::epsilon());
}

TYPED_TEST(CrossEntropy, ANonFiniteInputMakesTheLossNonFinite) {
  using T = TypeParam;
  const ExecutionSpace exec;
  const Problem p{40, 8, 70};
  const TokenIds targets = spread_targets(exec, p);
  for (const T bad : {std::numeric_limits<T>::quiet_NaN(), std::numeric_limits<T>::infinity()}) {
    for (const bool in_head : {false, true}) {
      const auto x = test::random_matrix<T>(exec, p.tokens, p.hidden, 1);
      const auto head = test::random_matrix<T>(exec, p.vocab, p.hidden, 2);
      const auto& spoilt = in_head ? head : x;
      auto host = to_host(exec, spoilt);
      host(spoilt.extent(0) - 1, 3) = bad;
      to_device(exec, spoilt, host);
      const Result<T> result(exec, x, head, targets, 16);
      EXPECT_FALSE(std::isfinite(result.loss)) << bad << (in_head ? " in head" : " in x");
      EXPECT_FALSE(std::isfinite(result.forward_loss)) << bad << (in_head ? " in head" : " in x");
    }
  }
}

TEST(CrossEntropyGradient, MatchesFiniteDifferences) {
  const ExecutionSpace exec;
  const Problem p{11, 6, 37};
  const auto x = test::random_matrix<double>(exec, p.tokens, p.hidden, 1);
  const auto head = test::random_matrix<double>(exec, p.vocab, p.hidden, 2);
  const TokenIds targets = spread_targets(exec, p);
  const Result<double> result(exec, x, head, targets, 4);
  const Vector<double> sum("strait::test::loss", 1);
  const auto loss = [&] {
    cross_entropy_forward<double>(exec, sum, x, head, targets, {.chunk_tokens = 4});
    return gradient_scale * to_host(exec, sum)(0);
  };
  test::expect_gradient(exec, "x", x, result.dx, loss);
  test::expect_gradient(exec, "head", head, result.dhead, loss);
}

TEST(CrossEntropyDeathTest, ExtentsThatDoNotMatchAreAProgrammingError) {
  const ExecutionSpace exec;
  const Matrix<float> x("strait::test::x", 4, 3), head("strait::test::head", 5, 2);
  const Vector<double> sum("strait::test::loss", 1);
  const TokenIds targets = test::token_ids(exec, std::vector<std::int32_t>(4, 0));
  EXPECT_DEATH(cross_entropy_forward<float>(exec, sum, x, head, targets), "extents do not match");
}

}  // namespace
}  // namespace strait::kernels
