// msign, the retraction and the tangent projection.
#include "strait/kernels/msign.hpp"

#include "strait/kernels/elementwise.hpp"
#include "strait/kernels/matmul.hpp"
#include "strait/kernels/orthonormal.hpp"

#include "support/kokkos_tools.hpp"
#include "support/spectral.hpp"
#include "support/tensors.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace strait::kernels {
namespace {

template <class T>
Matrix<T> orthonormal(const ExecutionSpace& exec, int row_count, int column_count, std::uint64_t stream) {
  const Matrix<T> q("strait::test::orthonormal", row_count, column_count);
  fill_orthonormal<T>(exec, q, 3, stream);
  return q;
}

template <class T>
Matrix<T> transposed(const ExecutionSpace& exec, const Matrix<T>& a) {
  const Matrix<T> at("strait::test::transposed", a.extent(1), a.extent(0));
  const auto from = to_host(exec, a);
  auto to = to_host(exec, at);
  for (std::size_t i = 0; i < from.extent(0); ++i) {
    for (std::size_t j = 0; j < from.extent(1); ++j) to(j, i) = from(i, j);
  }
  to_device(exec, at, to);
  return at;
}

/// x = U S V^T with singular values from 5 to 0.05, and its polar factor U V^T.
struct Decomposed {
  Matrix<double> x, polar;

  Decomposed(const ExecutionSpace& exec, int height, int width)
      : x("strait::test::x", height, width), polar("strait::test::polar", height, width) {
    const int order = std::min(height, width);
    const auto u = orthonormal<double>(exec, height, order, 1),
               v = orthonormal<double>(exec, width, order, 2);
    matmul<double>(exec, polar, u, v, {.b = Transpose::yes});
    auto scaled = to_host(exec, u);
    for (int j = 0; j < order; ++j) {
      const double value = 5.0 * std::pow(0.01, order > 1 ? j / (order - 1.0) : 0.0);
      for (int i = 0; i < height; ++i) scaled(i, j) *= value;
    }
    to_device(exec, u, scaled);
    matmul<double>(exec, x, u, v, {.b = Transpose::yes});
  }
};

TEST(Msign, ConvergesToThePolarFactor) {
  const ExecutionSpace exec;
  for (const auto& [height, width] :
       {std::pair{40, 12}, {12, 40}, {16, 16}, {7, 1}, {1, 7}, {150, 130}, {130, 150}}) {
    SCOPED_TRACE(testing::Message() << height << " x " << width);
    const Decomposed c(exec, height, width);
    const PolarWorkspace<double> workspace(height, width);
    const auto wide = test::random_matrix<double>(exec, height, width, 5, 1.0, 3);
    msign<double>(exec, wide, c.x, workspace, {.iterations = 11});
    EXPECT_LT(test::relative_difference(exec, wide, c.polar), 1e-12);
    msign<double>(exec, c.x, c.x, workspace, {.iterations = 11});
    EXPECT_LT(test::relative_difference(exec, c.x, wide), 1e-14) << "in place";
  }
}

TEST(Msign, FiveIterationsBringSingularValuesNearOne) {
  const ExecutionSpace exec;
  const Decomposed c(exec, 96, 32);
  const PolarWorkspace<double> workspace(96, 32);
  const Matrix<double> d("strait::test::d", 96, 32);
  msign<double>(exec, d, c.x, workspace);
  EXPECT_LT(test::orthonormality_error(exec, d), 0.3);
  EXPECT_GT(test::orthonormality_error(exec, c.x), 20.0);
}

TEST(Msign, OfTheTransposeIsTheTranspose) {
  const ExecutionSpace exec;
  const auto x = test::random_matrix<double>(exec, 24, 9, 4);
  const Matrix<double> tall("strait::test::tall", 24, 9), wide("strait::test::wide", 9, 24);
  // One workspace serves every shape that is no larger.
  const PolarWorkspace<double> workspace(30, 10);
  msign<double>(exec, tall, x, workspace);
  msign<double>(exec, wide, transposed(exec, x), workspace);
  EXPECT_LT(test::relative_difference(exec, transposed(exec, wide), tall), 1e-13);
}

TEST(Msign, LeavesZeroAndKnowsNoSize) {
  const ExecutionSpace exec;
  const Matrix<float> zero("strait::test::zero", 8, 4), d("strait::test::d", 8, 4);
  const PolarWorkspace<float> workspace(8, 4);
  Kokkos::deep_copy(exec, d, 1.0f);
  msign<float>(exec, d, zero, workspace);
  EXPECT_EQ(test::relative_difference(exec, d, zero), 0.0);
  const auto x = test::random_matrix<float>(exec, 8, 4, 1);
  const Matrix<float> large("strait::test::large", 8, 4), of_large("strait::test::of_large", 8, 4);
  combine<float>(exec, large, 4096.0, x, 0.0, x);
  msign<float>(exec, d, x, workspace);
  msign<float>(exec, of_large, large, workspace);
  EXPECT_LT(test::relative_difference(exec, of_large, d), 1e-5);
}

/// Published figures of a retraction by normalised iterations: |A^T A - I|_2 after 5, 6 and 7 of them.
TEST(Retraction, NormalisedIterationsNeedSeven) {
  const ExecutionSpace exec;
  for (const int rank : {128, 256}) {
    const auto a = orthonormal<float>(exec, 2 * rank, rank, 1);
    const PolarWorkspace<float> workspace(2 * rank, rank);
    const Matrix<float> d("strait::test::d", 2 * rank, rank);
    const double limits[] = {0.25, 4e-3, 1e-5};
    for (int more = 0; more < 3; ++more) {
      msign<float>(exec, d, a, workspace, {.iterations = 5 + more});
      const double error = test::orthonormality_error(exec, d, 20);
      EXPECT_LT(error, limits[more]) << rank;
      if (more == 0) {
        EXPECT_GT(error, 0.05) << rank;
      }
    }
  }
}

/// Published for steps of 2e-3, 2e-2 and 0.1 along msign of a random tangent vector: 1e-11, 2e-8 and 7e-6.
/// That is what hidden = 8 rank gives; at 4 rank the direction leaves the tangent space further.
TEST(Retraction, OneQuinticStepIsAccurate) {
  const ExecutionSpace exec;
  constexpr int rank = 64;
  for (const auto& [hidden, factor] : {std::pair{8 * rank, 2.5}, {4 * rank, 25.0}}) {
    const PolarWorkspace<double> workspace(hidden, rank);
    const auto start = orthonormal<double>(exec, hidden, rank, 1);
    const auto direction = test::random_matrix<double>(exec, hidden, rank, 2);
    project_to_tangent<double>(exec, direction, start, workspace);
    msign<double>(exec, direction, direction, workspace, {.iterations = 8});
    const Matrix<double> a("strait::test::a", hidden, rank);
    const std::pair<double, double> figures[] = {{2e-3, 1e-11}, {2e-2, 2e-8}, {0.1, 7e-6}};
    for (const auto& [step, figure] : figures) {
      combine<double>(exec, a, -step, direction, 1.0, start);
      const double before = test::orthonormality_error(exec, a);
      polar_retract<double>(exec, a, workspace);
      const double after = test::orthonormality_error(exec, a);
      EXPECT_LT(after, factor * figure) << hidden << ", step " << step;
      EXPECT_GT(before, 100.0 * after) << hidden << ", step " << step;
    }
  }
}

TEST(TangentSpace, ProjectionIsOrthogonalAndTangent) {
  const ExecutionSpace exec;
  constexpr int hidden = 30, rank = 7;
  const PolarWorkspace<double> workspace(hidden, rank);
  const auto a = orthonormal<double>(exec, hidden, rank, 1);
  const auto g = test::random_matrix<double>(exec, hidden, rank, 2, 1.0, 2);
  const Matrix<double> t("strait::test::t", hidden, rank), s("strait::test::s", rank, rank);
  copy<double>(exec, t, g);
  project_to_tangent<double>(exec, t, a, workspace);

  matmul<double>(exec, s, a, t, {.a = Transpose::yes});
  EXPECT_GT(std::sqrt(test::inner_product(exec, s, s)), 0.1) << "not merely normal to a";
  symmetrize<double>(exec, s);
  EXPECT_LT(std::sqrt(test::inner_product(exec, s, s)), 1e-14);
  // The rest is normal to the tangent space: <g - t, t> = 0.
  EXPECT_NEAR(test::inner_product(exec, g, t), test::inner_product(exec, t, t), 1e-12);
  const Matrix<double> again("strait::test::again", hidden, rank);
  copy<double>(exec, again, t);
  project_to_tangent<double>(exec, again, a, workspace);
  EXPECT_LT(test::relative_difference(exec, again, t), 1e-14);
}

TEST(Normalize, GivesTheSizeAskedForAndKeepsZero) {
  const ExecutionSpace exec;
  const auto x = test::random_matrix<double>(exec, 5, 40, 1, 100.0, 3);
  const PolarWorkspace<double> workspace(5, 40);
  const double before = std::sqrt(test::inner_product(exec, x, x));
  const Matrix<double> y("strait::test::y", 5, 40);
  normalize<double>(exec, y, x, 2.5, workspace);
  EXPECT_NEAR(std::sqrt(test::inner_product(exec, y, y)), 2.5, 1e-8);
  EXPECT_NEAR(test::inner_product(exec, x, y), 2.5 * before, 1e-6 * before);
}

TEST(PolarWorkspace, SparesAllocations) {
  const ExecutionSpace exec;
  const auto a = orthonormal<float>(exec, 40, 8, 1);
  const auto g = test::random_matrix<float>(exec, 40, 8, 2);
  const PolarWorkspace<float> workspace(40, 8);
  const test::LabelRecorder recorder;
  project_to_tangent<float>(exec, g, a, workspace);
  msign<float>(exec, g, g, workspace);
  combine<float>(exec, a, 0.01, g, 1.0, a);
  polar_retract<float>(exec, a, workspace);
  EXPECT_EQ(recorder.allocations(), std::set<std::string>{});
  EXPECT_TRUE(recorder.kernels().count("strait::msign::scale"));
}

}  // namespace
}  // namespace strait::kernels
