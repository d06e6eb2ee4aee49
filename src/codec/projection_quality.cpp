#include "projection_quality.hpp"

#include "strait/core/host_mirror.hpp"
#include "strait/kernels/elementwise.hpp"
#include "strait/kernels/matmul.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

namespace strait::codec {
namespace {

/// Largest singular value of the symmetric `m` [order, order] less the identity, by power iteration.
template <class HostMatrix>
double distance_from_identity(const HostMatrix& m) {
  constexpr int iterations = 60;
  const std::size_t order = m.extent(0);
  std::vector<double> v(order), next(order);
  for (std::size_t i = 0; i < order; ++i) v[i] = 1.0 + 0.5 * std::sin(static_cast<double>(i));
  double value = 0.0;
  for (int iteration = 0; iteration < iterations; ++iteration) {
    double before = 0.0, after = 0.0;
    for (std::size_t i = 0; i < order; ++i) {
      next[i] = -v[i];
      for (std::size_t j = 0; j < order; ++j) next[i] += static_cast<double>(m(i, j)) * v[j];
      before += v[i] * v[i];
      after += next[i] * next[i];
    }
    value = std::sqrt(after / before);
    if (after == 0.0) break;
    const double scale = 1.0 / std::sqrt(after);
    std::transform(next.begin(), next.end(), v.begin(), [scale](double x) { return scale * x; });
  }
  return value;
}

double share(double part, double whole) { return whole > 0.0 ? part / whole : 0.0; }

}  // namespace

template <class T>
ProjectionQuality projection_quality(const ExecutionSpace& exec, ConstMatrix<T> a, ConstMatrix<T> x,
                                     const Matrix<T>& y) {
  const std::int64_t rank = a.extent(1);
  const Matrix<T> gram("strait::codec::gram", rank, rank);
  kernels::matmul<T>(exec, gram, a, a, {.a = kernels::Transpose::yes});
  const double whole = kernels::sum_of_squares<T>(exec, x);
  const double residual = kernels::sum_of_squares<T>(exec, y);
  const Matrix<T> z("strait::codec::projected", y.extent(0), rank);
  kernels::matmul<T>(exec, z, y, a);
  kernels::matmul<T>(exec, y, z, a, {.b = kernels::Transpose::yes, .alpha = -1.0, .beta = 1.0});
  const double lost = kernels::sum_of_squares<T>(exec, y);
  return {.orthonormality = distance_from_identity(to_host(exec, gram)),
          .energy_kept = 1.0 - share(lost, residual),
          .reconstruction_error = std::sqrt(share(lost, whole)),
          .anchor_share = 1.0 - share(residual, whole)};
}

template ProjectionQuality projection_quality<float>(const ExecutionSpace&, ConstMatrix<float>,
                                                     ConstMatrix<float>, const Matrix<float>&);
template ProjectionQuality projection_quality<double>(const ExecutionSpace&, ConstMatrix<double>,
                                                      ConstMatrix<double>, const Matrix<double>&);

}  // namespace strait::codec
