#include "strait/kernels/msign.hpp"

#include "strait/core/error.hpp"
#include "strait/kernels/elementwise.hpp"
#include "strait/kernels/matmul.hpp"

#include "rows.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace strait::kernels {
namespace {

/// x <- a x + b (x x^T) x + c (x x^T)^2 x.
struct Quintic {
  double a, b, c;
};

/// The greedily best polynomials for singular values in [1e-3, 1] and, after seven, Newton and Schulz's. The
/// margin keeps the largest singular value from overshooting in low precision.
Quintic polar_express(int iteration) {
  constexpr int count = 7;
  constexpr Quintic table[count] = {{8.28721201814563, -23.595886519098837, 17.300387312530933},
                                    {4.107059111542203, -2.9478499167379106, 0.5448431082926601},
                                    {3.9486908534822946, -2.908902115962949, 0.5518191394370137},
                                    {3.3184196573706015, -2.488488024314874, 0.51004894012372},
                                    {2.300652019954817, -1.6689039845747493, 0.4188073119525673},
                                    {1.891301407787398, -1.2679958271945868, 0.37680408948524835},
                                    {1.8750014808534479, -1.2500016453999487, 0.3750001645474248}};
  constexpr double margin = 1.01;
  if (iteration >= count) return {15.0 / 8.0, -10.0 / 8.0, 3.0 / 8.0};
  const Quintic& q = table[iteration];
  return {q.a / margin, q.b / std::pow(margin, 3), q.c / std::pow(margin, 5)};
}

template <class T>
void add_polynomial(const ExecutionSpace& exec, const Matrix<T>& p, ConstMatrix<T> w, Quintic coefficients) {
  const T a = static_cast<T>(coefficients.a), b = static_cast<T>(coefficients.b);
  const auto order = static_cast<std::int64_t>(p.extent(0));
  for_each_row(
      "strait::msign::add_polynomial", exec, order, KOKKOS_LAMBDA(const Row& row, std::int64_t i) {
        T* const p_row = &p(i, 0);
        const T* const w_row = &w(i, 0);
        row_for(row, order, [&](std::int64_t j) { p_row[j] += b * w_row[j] + (i == j ? a : T(0)); });
      });
}

/// c = alpha x^T x of a tall x, alpha x x^T of a wide one. On hosts at little more than half the operations,
/// strips right of the diagonal, then their mirror image; devices want few products, large ones.
template <class T>
void gram(const ExecutionSpace& exec, const Matrix<T>& c, ConstMatrix<T> x, bool tall, double alpha) {
  constexpr std::int64_t strips = host_accessible ? 8 : 1, narrowest = 64;
  const auto order = static_cast<std::int64_t>(c.extent(0));
  const std::int64_t width = std::max((order + strips - 1) / strips, narrowest);
  for (std::int64_t begin = 0; begin < order; begin += width) {
    const std::int64_t end = std::min(begin + width, order);
    const auto strip = columns(rows(c, begin, end), begin, order);
    if (tall) {
      matmul<T>(exec, strip, columns(x, begin, end), columns(x, begin, order),
                {.a = Transpose::yes, .alpha = alpha});
    } else {
      matmul<T>(exec, strip, rows(x, begin, end), rows(x, begin, order),
                {.b = Transpose::yes, .alpha = alpha});
    }
  }
  if (order <= width) return;
  for_each_row(
      "strait::msign::mirror", exec, order, KOKKOS_LAMBDA(const Row& row, std::int64_t i) {
        row_for(row, i / width * width, [&](std::int64_t j) { c(i, j) = c(j, i); });
      });
}

/// y = a x + b W x + c W^2 x with W = x x^T of a wide x, W = x^T x from the right of a tall one. y and x
/// differ.
template <class T>
void apply(const ExecutionSpace& exec, const Matrix<T>& y, ConstMatrix<T> x, Quintic coefficients,
           const PolarWorkspace<T>& workspace) {
  const bool tall = x.extent(0) >= x.extent(1);
  const auto order = static_cast<std::int64_t>(std::min(x.extent(0), x.extent(1)));
  const auto w = workspace.square(0, order), p = workspace.square(1, order);
  gram<T>(exec, w, x, tall, 1.0);
  gram<T>(exec, p, w, true, coefficients.c);
  add_polynomial<T>(exec, p, w, coefficients);
  if (tall) {
    matmul<T>(exec, y, x, p);
  } else {
    matmul<T>(exec, y, p, x);
  }
}

}  // namespace

template <class T>
PolarWorkspace<T>::PolarWorkspace(std::int64_t row_count, std::int64_t column_count)
    : iterate_size_(row_count * column_count),
      order_(std::min(row_count, column_count)),
      storage_(Kokkos::view_alloc(Kokkos::WithoutInitializing, "strait::msign::workspace"),
               2 * (iterate_size_ + order_ * order_)),
      sums_(Kokkos::view_alloc(Kokkos::WithoutInitializing, "strait::msign::sums"),
            std::max(row_count, column_count) + 1) {}

template <class T>
std::int64_t PolarWorkspace<T>::bytes_needed(std::int64_t row_count, std::int64_t column_count) {
  const std::int64_t order = std::min(row_count, column_count);
  return 2 * (row_count * column_count + order * order) * static_cast<std::int64_t>(sizeof(T)) +
         (std::max(row_count, column_count) + 1) * static_cast<std::int64_t>(sizeof(double));
}

template <class T>
Matrix<T> PolarWorkspace<T>::iterate(int which, std::int64_t row_count, std::int64_t column_count) const {
  ensure(row_count * column_count <= iterate_size_ &&
             std::max(row_count, column_count) < static_cast<std::int64_t>(sums_.extent(0)),
         "polar workspace: the matrix is too large");
  return as_matrix(storage_, which * iterate_size_, row_count, column_count);
}

template <class T>
Matrix<T> PolarWorkspace<T>::square(int which, std::int64_t order) const {
  ensure(order <= order_, "polar workspace: the square is too large");
  return as_matrix(storage_, 2 * iterate_size_ + which * order_ * order_, order, order);
}

template <class T>
void normalize(const ExecutionSpace& exec, const Matrix<T>& y, ConstMatrix<T> x, double size,
               const PolarWorkspace<T>& workspace, double floor) {
  ensure(y.extent(0) == x.extent(0) && y.extent(1) == x.extent(1), "normalize: extents do not match");
  ensure(x.extent(0) < workspace.sums().extent(0), "normalize: the workspace is too small");
  const auto row_count = static_cast<std::int64_t>(x.extent(0));
  const auto width = static_cast<std::int64_t>(x.extent(1));
  const Vector<double> sums(workspace.sums().data(), row_count + 1);
  for_each_row(
      "strait::msign::row_squares", exec, row_count, KOKKOS_LAMBDA(const Row& row, std::int64_t i) {
        const T* const x_row = &x(i, 0);
        const double sum = row_sum<double>(row, width, [&](std::int64_t j) {
          const double value = static_cast<double>(x_row[j]);
          return value * value;
        });
        row_once(row, [&] { sums(i) = sum; });
      });
  for_each_row(
      "strait::msign::norm", exec, 1, KOKKOS_LAMBDA(const Row& row, std::int64_t) {
        const double sum = row_sum<double>(row, row_count, [&](std::int64_t i) { return sums(i); });
        row_once(row, [&] { sums(row_count) = sum == 0.0 ? 0.0 : size / (math::sqrt(sum) + floor); });
      });
  for_each_row(
      "strait::msign::scale", exec, row_count, KOKKOS_LAMBDA(const Row& row, std::int64_t i) {
        const T factor = static_cast<T>(sums(row_count));
        T* const y_row = &y(i, 0);
        const T* const x_row = &x(i, 0);
        row_for(row, width, [&](std::int64_t j) { y_row[j] = factor * x_row[j]; });
      });
}

template <class T>
void msign(const ExecutionSpace& exec, const Matrix<T>& d, ConstMatrix<T> x,
           const PolarWorkspace<T>& workspace, MsignOptions options) {
  ensure(d.extent(0) == x.extent(0) && d.extent(1) == x.extent(1), "msign: extents do not match");
  ensure(options.iterations >= 1, "msign: at least one iteration");
  auto from = workspace.iterate(0, x.extent(0), x.extent(1));
  auto to = workspace.iterate(1, x.extent(0), x.extent(1));
  constexpr double margin = 1.01;
  normalize<T>(exec, from, x, 1.0 / margin, workspace, 1e-7 / margin);
  for (int iteration = 0; iteration < options.iterations; ++iteration) {
    const bool last = iteration + 1 == options.iterations;
    apply<T>(exec, last ? d : to, from, polar_express(iteration), workspace);
    std::swap(from, to);
  }
}

template <class T>
void polar_retract(const ExecutionSpace& exec, const Matrix<T>& a, const PolarWorkspace<T>& workspace) {
  const auto retracted = workspace.iterate(0, a.extent(0), a.extent(1));
  apply<T>(exec, retracted, a, {15.0 / 8.0, -10.0 / 8.0, 3.0 / 8.0}, workspace);
  copy<T>(exec, a, retracted);
}

template <class T>
void symmetrize(const ExecutionSpace& exec, const Matrix<T>& s) {
  ensure(s.extent(0) == s.extent(1), "symmetrize: a square matrix");
  for_each_row(
      "strait::msign::symmetrize", exec, s.extent(0), KOKKOS_LAMBDA(const Row& row, std::int64_t i) {
        row_for(row, i, [&](std::int64_t j) {
          const T mean = T(0.5) * (s(i, j) + s(j, i));
          s(i, j) = mean;
          s(j, i) = mean;
        });
      });
}

template <class T>
void project_to_tangent(const ExecutionSpace& exec, const Matrix<T>& g, ConstMatrix<T> a,
                        const PolarWorkspace<T>& workspace) {
  const auto s = workspace.square(0, a.extent(1));
  matmul<T>(exec, s, a, g, {.a = Transpose::yes});
  symmetrize<T>(exec, s);
  matmul<T>(exec, g, a, s, {.alpha = -1.0, .beta = 1.0});
}

#define STRAIT_INSTANTIATE(T)                                                                               \
  template class PolarWorkspace<T>;                                                                         \
  template void normalize<T>(const ExecutionSpace&, const Matrix<T>&, ConstMatrix<T>, double,               \
                             const PolarWorkspace<T>&, double);                                             \
  template void msign<T>(const ExecutionSpace&, const Matrix<T>&, ConstMatrix<T>, const PolarWorkspace<T>&, \
                         MsignOptions);                                                                     \
  template void polar_retract<T>(const ExecutionSpace&, const Matrix<T>&, const PolarWorkspace<T>&);        \
  template void symmetrize<T>(const ExecutionSpace&, const Matrix<T>&);                                     \
  template void project_to_tangent<T>(const ExecutionSpace&, const Matrix<T>&, ConstMatrix<T>,              \
                                      const PolarWorkspace<T>&);
STRAIT_INSTANTIATE(float)
STRAIT_INSTANTIATE(double)
#undef STRAIT_INSTANTIATE

}  // namespace strait::kernels
