#include "strait/kernels/orthonormal.hpp"

#include "strait/core/error.hpp"
#include "strait/core/host_mirror.hpp"
#include "strait/kernels/elementwise.hpp"
#include "strait/kernels/matmul.hpp"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

namespace strait::kernels {
namespace {

/// s = R^T R becomes R^-1, upper triangular, R's diagonal positive. Loops run along rows, so that they
/// vectorise.
template <class HostMatrix>
void invert_cholesky_factor(const HostMatrix& s) {
  const auto order = static_cast<std::int64_t>(s.extent(0));
  for (std::int64_t k = 0; k < order; ++k) {
    ensure(s(k, k) > 0.0, "orthonormal: the numbers drawn are dependent");
    const double scale = 1.0 / std::sqrt(s(k, k));
    double* const pivot = &s(k, 0);
    for (std::int64_t j = k; j < order; ++j) pivot[j] *= scale;
    for (std::int64_t i = k + 1; i < order; ++i) {
      double* const row = &s(i, 0);
      const double factor = pivot[i];
      for (std::int64_t j = i; j < order; ++j) row[j] -= factor * pivot[j];
    }
  }
  // Row i of the inverse is (e_i - sum over k > i of R(i, k) row k of the inverse) / R(i, i).
  std::vector<double> factor(order);
  for (std::int64_t i = order - 1; i >= 0; --i) {
    double* const row = &s(i, 0);
    std::copy(row + i, row + order, factor.begin() + i);
    std::fill(row, row + order, 0.0);
    row[i] = 1.0;
    for (std::int64_t k = i + 1; k < order; ++k) {
      const double* const below = &s(k, 0);
      for (std::int64_t j = k; j < order; ++j) row[j] -= factor[k] * below[j];
    }
    for (std::int64_t j = i; j < order; ++j) row[j] /= factor[i];
  }
}

}  // namespace

template <class T>
void fill_orthonormal(const ExecutionSpace& exec, const Matrix<T>& q, std::uint64_t seed,
                      std::uint64_t stream) {
  const auto row_count = static_cast<std::int64_t>(q.extent(0));
  const auto column_count = static_cast<std::int64_t>(q.extent(1));
  const bool tall = row_count >= column_count;
  const std::int64_t order = std::min(row_count, column_count);
  if (order == 0) return;
  Matrix<double> x("strait::orthonormal::x", row_count, column_count);
  Matrix<double> y("strait::orthonormal::y", row_count, column_count);
  const Matrix<double> small("strait::orthonormal::small", order, order);
  fill_normal<double>(exec, Vector<double>(x.data(), x.size()), 1.0, seed, stream);
  for (int pass = 0; pass < 2; ++pass) {
    matmul<double>(exec, small, x, x,
                   {.a = tall ? Transpose::yes : Transpose::no, .b = tall ? Transpose::no : Transpose::yes});
    const auto host = to_host(exec, small);
    invert_cholesky_factor(host);
    to_device(exec, small, host);
    if (tall) {
      matmul<double>(exec, y, x, small);
    } else {
      matmul<double>(exec, y, small, x, {.a = Transpose::yes});
    }
    std::swap(x, y);
  }
  Kokkos::parallel_for(
      "strait::orthonormal::round", RangePolicy(exec, 0, row_count * column_count),
      KOKKOS_LAMBDA(std::int64_t entry) {
        const std::int64_t i = entry / column_count, j = entry % column_count;
        q(i, j) = static_cast<T>(x(i, j));
      });
  fence(exec, "strait::orthonormal: the scratch is freed");
}

template void fill_orthonormal<float>(const ExecutionSpace&, const Matrix<float>&, std::uint64_t,
                                      std::uint64_t);
template void fill_orthonormal<double>(const ExecutionSpace&, const Matrix<double>&, std::uint64_t,
                                       std::uint64_t);

}  // namespace strait::kernels
