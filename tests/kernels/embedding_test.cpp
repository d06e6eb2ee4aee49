#include "strait/kernels/embedding.hpp"

#include "support/finite_difference.hpp"
#include "support/tensors.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace strait::kernels {
namespace {

/// Ids as language has them: a few frequent ones, first and last of the vocabulary, many absent.
std::vector<int> uneven_ids(int tokens, int vocab) {
  const Philox random(17, 0);
  std::vector<int> ids(tokens);
  for (int t = 0; t < tokens; ++t) {
    const double u = random.uniform(t);
    ids[t] = t % 3 == 0 ? vocab / 2 : static_cast<int>(u * u * u * vocab);
  }
  ids.front() = vocab - 1;
  ids.back() = 0;
  return ids;
}

template <class T>
class Embedding : public ::testing::Test {};
using Scalars = ::testing::Types<float, double>;
TYPED_TEST_SUITE(Embedding, Scalars);

TYPED_TEST(Embedding, ForwardGathersRows) {
  using T = TypeParam;
  const ExecutionSpace exec;
  const auto values = uneven_ids(50, 20);
  const auto table = test::random_matrix<T>(exec, 20, 9, 1, 1.0, 3);
  const auto x = test::random_matrix<T>(exec, 50, 9, 2, 1.0, 1);
  embedding_forward<T>(exec, x, table, test::token_ids(exec, values));
  const auto host_x = to_host(exec, x), host_table = to_host(exec, table);
  for (int t = 0; t < 50; ++t) {
    for (int j = 0; j < 9; ++j) EXPECT_EQ(host_x(t, j), host_table(values[t], j));
  }
}

/// The sum over the tokens of an id in the order that is promised: the first 32 on top of what was there,
/// then the sums of 32 each.
template <class HostMatrix>
void add_rows(const HostMatrix& sum, const HostMatrix& dx, const std::vector<int>& ids) {
  using T = typename HostMatrix::non_const_value_type;
  constexpr std::size_t chunk = 32;
  for (std::size_t id = 0; id < sum.extent(0); ++id) {
    std::vector<int> tokens;
    for (std::size_t t = 0; t < ids.size(); ++t) {
      if (ids[t] == static_cast<int>(id)) tokens.push_back(static_cast<int>(t));
    }
    for (std::size_t j = 0; j < sum.extent(1); ++j) {
      for (std::size_t begin = 0; begin < tokens.size(); begin += chunk) {
        T partial = begin == 0 ? sum(id, j) : T(0);
        const std::size_t end = std::min(begin + chunk, tokens.size());
        for (std::size_t i = begin; i < end; ++i) partial += dx(tokens[i], j);
        sum(id, j) = begin == 0 ? partial : sum(id, j) + partial;
      }
    }
  }
}

/// Bitwise.
TYPED_TEST(Embedding, BackwardAddsInOneOrder) {
  using T = TypeParam;
  const ExecutionSpace exec;
  struct Case {
    int tokens, vocab, hidden;
  };
  for (const auto& [tokens, vocab, hidden] : {Case{1, 1, 1}, Case{50, 1, 9}, Case{50, 20, 9},
                                              Case{700, 32000, 33}, Case{500, 3, 40}, Case{1000, 90, 7}}) {
    const auto values = uneven_ids(tokens, vocab);
    const auto dx = test::random_matrix<T>(exec, tokens, hidden, 1, 1.0, 3);
    const auto dtable = test::random_matrix<T>(exec, vocab, hidden, 2, 1.0, 1);
    auto expected = to_host(exec, dtable);
    const auto host_dx = to_host(exec, dx);
    add_rows(expected, host_dx, values);
    embedding_backward<T>(exec, dtable, dx, test::token_ids(exec, values));
    const auto host = to_host(exec, dtable);
    int different = 0;
    for (int id = 0; id < vocab; ++id) {
      for (int j = 0; j < hidden; ++j) different += host(id, j) != expected(id, j);
    }
    EXPECT_EQ(different, 0) << tokens << " tokens, vocabulary of " << vocab;
  }
}

TYPED_TEST(Embedding, NoTokensChangeNothing) {
  using T = TypeParam;
  const ExecutionSpace exec;
  const auto dtable = test::random_matrix<T>(exec, 5, 4, 1), before = test::random_matrix<T>(exec, 5, 4, 1);
  embedding_backward<T>(exec, dtable, Matrix<T>("strait::test::dx", 0, 4), TokenIds());
  EXPECT_EQ(test::relative_difference(exec, dtable, before), 0.0);
}

TEST(EmbeddingGradient, MatchesFiniteDifferences) {
  const ExecutionSpace exec;
  const auto ids = test::token_ids(exec, uneven_ids(12, 6));
  const auto table = test::random_matrix<double>(exec, 6, 5, 1),
             dx = test::random_matrix<double>(exec, 12, 5, 2);
  const Matrix<double> x("strait::test::x", 12, 5), dtable("strait::test::dtable", 6, 5);
  embedding_backward<double>(exec, dtable, dx, ids);
  test::expect_gradient(exec, "table", table, dtable, [&] {
    embedding_forward<double>(exec, x, table, ids);
    return test::inner_product(exec, x, dx);
  });
}

}  // namespace
}  // namespace strait::kernels
