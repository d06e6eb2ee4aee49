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

/// x <- Q of its Q R, or L Q where it is wide.
void orthonormalize_in_double(const ExecutionSpace& exec, Matrix<double>& x) {
  const bool tall = x.extent(0) >= x.extent(1);
  const std::size_t order = std::min(x.extent(0), x.extent(1));
  Matrix<double> y("strait::orthonormal::y", x.extent(0), x.extent(1));
  const Matrix<double> small("strait::orthonormal::small", order, order);
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
  fence(exec, "strait::orthonormal: the scratch is freed");
}

/// to = from, of equal extents.
template <class To, class From>
void round_to(const ExecutionSpace& exec, const Matrix<To>& to, const Matrix<From>& from) {
  const auto column_count = static_cast<std::int64_t>(to.extent(1));
  Kokkos::parallel_for(
      "strait::orthonormal::round", RangePolicy(exec, 0, static_cast<std::int64_t>(to.size())),
      KOKKOS_LAMBDA(std::int64_t entry) {
        const std::int64_t i = entry / column_count, j = entry % column_count;
        to(i, j) = static_cast<To>(from(i, j));
      });
}

}  // namespace

template <class T>
void fill_orthonormal(const ExecutionSpace& exec, const Matrix<T>& q, std::uint64_t seed,
                      std::uint64_t stream) {
  if (q.size() == 0) return;
  Matrix<double> x("strait::orthonormal::x", q.extent(0), q.extent(1));
  fill_normal<double>(exec, Vector<double>(x.data(), x.size()), 1.0, seed, stream);
  orthonormalize_in_double(exec, x);
  round_to(exec, q, x);
  fence(exec, "strait::orthonormal: the scratch is freed");
}

template <class T>
void orthonormalize(const ExecutionSpace& exec, const Matrix<T>& q) {
  ensure(q.extent(0) >= q.extent(1), "orthonormalize: a matrix that is not tall");
  if (q.size() == 0) return;
  Matrix<double> x("strait::orthonormal::x", q.extent(0), q.extent(1));
  round_to(exec, x, q);
  orthonormalize_in_double(exec, x);
  round_to(exec, q, x);
  fence(exec, "strait::orthonormal: the scratch is freed");
}

#define STRAIT_INSTANTIATE(T)                                                                               \
  template void fill_orthonormal<T>(const ExecutionSpace&, const Matrix<T>&, std::uint64_t, std::uint64_t); \
  template void orthonormalize<T>(const ExecutionSpace&, const Matrix<T>&);
STRAIT_INSTANTIATE(float)
STRAIT_INSTANTIATE(double)
#undef STRAIT_INSTANTIATE

}  // namespace strait::kernels
