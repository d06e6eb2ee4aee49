// Random orthonormal matrices.
#include "strait/kernels/orthonormal.hpp"

#include "strait/kernels/elementwise.hpp"
#include "strait/kernels/matmul.hpp"

#include "support/spectral.hpp"
#include "support/tensors.hpp"

#include <gtest/gtest.h>

namespace strait::kernels {
namespace {

template <class T>
Matrix<T> draw(const ExecutionSpace& exec, int row_count, int column_count, std::uint64_t stream = 1) {
  const Matrix<T> q("strait::test::q", row_count, column_count);
  fill_orthonormal<T>(exec, q, 7, stream);
  return q;
}

TEST(Orthonormal, HasOrthonormalColumns) {
  const ExecutionSpace exec;
  for (const auto& [height, width] : {std::pair{512, 128}, {200, 200}, {64, 63}, {9, 1}, {1, 1}}) {
    SCOPED_TRACE(testing::Message() << height << " x " << width);
    EXPECT_LT(test::orthonormality_error(exec, draw<double>(exec, height, width)), 1e-13);
    EXPECT_LT(test::orthonormality_error(exec, draw<float>(exec, height, width)), 1e-6);
  }
}

TEST(Orthonormal, HasOrthonormalRowsWhereWide) {
  const ExecutionSpace exec;
  const auto q = draw<double>(exec, 24, 80);
  const Matrix<double> gram("strait::test::gram", 24, 24);
  matmul<double>(exec, gram, q, q, {.b = Transpose::yes});
  const auto host = to_host(exec, gram);
  for (int i = 0; i < 24; ++i) {
    for (int j = 0; j < 24; ++j) EXPECT_NEAR(host(i, j), i == j ? 1.0 : 0.0, 1e-14);
  }
}

TEST(Orthonormal, IsTheQOfNormalNumbers) {
  const ExecutionSpace exec;
  constexpr int height = 30, width = 8;
  const Matrix<double> x("strait::test::x", height, width), r("strait::test::r", width, width);
  fill_normal<double>(exec, Vector<double>(x.data(), x.size()), 1.0, 7, 1);
  matmul<double>(exec, r, draw<double>(exec, height, width), x, {.a = Transpose::yes});
  const auto host = to_host(exec, r);
  for (int i = 0; i < width; ++i) {
    EXPECT_GT(host(i, i), 1.0);  // the root of a sum of at least 23 squares
    for (int j = 0; j < i; ++j) EXPECT_NEAR(host(i, j), 0.0, 1e-13);
  }
}

TEST(Orthonormal, DependsOnSeedStreamAndNothingElse) {
  const ExecutionSpace exec;
  const auto q = draw<double>(exec, 40, 10), again = draw<double>(exec, 40, 10);
  EXPECT_EQ(test::relative_difference(exec, again, q), 0.0);
  EXPECT_GT(test::relative_difference(exec, draw<double>(exec, 40, 10, 2), q), 0.1);
  // The same start in either precision, also in rows with a stride.
  const auto strided = test::random_matrix<float>(exec, 40, 10, 1, 1.0, 3);
  fill_orthonormal<float>(exec, strided, 7, 1);
  EXPECT_LT(test::relative_difference(exec, strided, q), 1e-7);
}

}  // namespace
}  // namespace strait::kernels
