#include "strait/kernels/matmul.hpp"

#include "strait/core/error.hpp"
#include "strait/core/scratch.hpp"
#include "strait/kernels/elementwise.hpp"

#include "cublas_gemm.hpp"
#include "host_product.hpp"
#include "rows.hpp"

#ifndef KOKKOS_ENABLE_CUDA
#include <KokkosBlas3_gemm.hpp>
#endif

#include <algorithm>

namespace strait::kernels {

namespace {

/// One work item per entry of c: for shapes that the libraries do not handle.
template <class C, class T>
void matmul_by_entry(const ExecutionSpace& exec, const Matrix<C>& c, const ConstMatrix<T>& a,
                     const ConstMatrix<T>& b, MatmulOptions options, std::int64_t k) {
  using Sum = Compute<T>;
  const std::int64_t n = c.extent(1);
  const bool transpose_a = options.a == Transpose::yes;
  const bool transpose_b = options.b == Transpose::yes;
  const Sum alpha = static_cast<Sum>(options.alpha);
  const Sum beta = static_cast<Sum>(options.beta);
  Kokkos::parallel_for(
      "strait::matmul::by_entry", RangePolicy(exec, 0, c.extent(0) * n), KOKKOS_LAMBDA(std::int64_t entry) {
        const std::int64_t i = entry / n, j = entry % n;
        Sum sum = 0;
        for (std::int64_t l = 0; l < k; ++l) {
          sum += (transpose_a ? a(l, i) : a(i, l)) * (transpose_b ? b(j, l) : b(l, j));
        }
        c(i, j) = static_cast<C>(beta == Sum(0) ? alpha * sum : alpha * sum + beta * c(i, j));
      });
}

#ifndef KOKKOS_ENABLE_CUDA

/// KokkosBlas::gemm on `exec`, or c divided among the threads of a host; Kokkos Kernels before 3.6 knows only
/// the default instance.
template <class Exec, class T>
void gemm(const Exec& exec, const Matrix<T>& c, const ConstMatrix<T>& a, const ConstMatrix<T>& b,
          MatmulOptions options) {
  if constexpr (host_accessible) {
    const DividedProduct<T> divided(exec, {c, a, b, options});
    if (divided.blocks() > 1) {
      Kokkos::parallel_for("strait::matmul::by_threads", RangePolicy(exec, 0, divided.blocks()), divided);
      return;
    }
  }
  const char* const op_a = options.a == Transpose::yes ? "T" : "N";
  const char* const op_b = options.b == Transpose::yes ? "T" : "N";
  const T alpha = static_cast<T>(options.alpha);
  const T beta = static_cast<T>(options.beta);
  if constexpr (requires { KokkosBlas::gemm(exec, op_a, op_b, alpha, a, b, beta, c); }) {
    KokkosBlas::gemm(exec, op_a, op_b, alpha, a, b, beta, c);
  } else {
    KokkosBlas::gemm(op_a, op_b, alpha, a, b, beta, c);
  }
}

constexpr std::int64_t narrowest_panel = 256, widest_panel = 2048;

/// Elements of a panel, of 16 MiB unless k is very large.
std::int64_t panel_size(std::int64_t k) { return std::max<std::int64_t>(1 << 22, narrowest_panel * k); }

/// Rows or columns of c whose factors are widened at once.
std::int64_t panel_width(std::int64_t extent, std::int64_t k) {
  return std::min({extent, widest_panel, panel_size(k) / k});
}

/// What [begin, end) of the rows of op(m) need of m.
ConstMatrix<bfloat16> panel_of(const ConstMatrix<bfloat16>& m, bool along_columns, std::int64_t begin,
                               std::int64_t end) {
  const auto part = std::make_pair(begin, end);
  if (along_columns) return Kokkos::subview(m, Kokkos::ALL(), part);
  return Kokkos::subview(m, part, Kokkos::ALL());
}

/// panel = part of m, in memory that several panels use in turn.
Matrix<float> widen(const ExecutionSpace& exec, const Vector<float>& memory, ConstMatrix<bfloat16> part) {
  const Matrix<float> panel(memory.data(), part.extent(0), part.extent(1));
  copy<float, bfloat16>(exec, panel, part);
  return panel;
}

/// c = product + beta c.
void store(const ExecutionSpace& exec, const Matrix<bfloat16>& c, const Matrix<float>& product, float beta) {
  const auto width = static_cast<std::int64_t>(c.extent(1));
  for_each_row(
      "strait::matmul::store", exec, c.extent(0), KOKKOS_LAMBDA(const Row& row, std::int64_t i) {
        bfloat16* const to = &c(i, 0);
        const float* const from = &product(i, 0);
        if (beta == 0.0f) {
          row_for(row, width, [&](std::int64_t j) { to[j] = bfloat16(from[j]); });
        } else {
          row_for(row, width, [&](std::int64_t j) { to[j] = bfloat16(from[j] + beta * to[j]); });
        }
      });
}

/// BLAS in float, panel by panel. Each factor is widened once where panels hold one of them whole.
template <class C>
void gemm_of_bfloat16(const ExecutionSpace& exec, const Matrix<C>& c, const ConstMatrix<bfloat16>& a,
                      const ConstMatrix<bfloat16>& b, MatmulOptions options, std::int64_t k) {
  const bool transpose_a = options.a == Transpose::yes, transpose_b = options.b == Transpose::yes;
  const std::int64_t rows_of_c = c.extent(0), columns_of_c = c.extent(1);
  const std::int64_t height = panel_width(rows_of_c, k), width = panel_width(columns_of_c, k);
  const std::int64_t size = panel_size(k);
  const auto memory = scratch<float>("strait::matmul::panels", 3 * size);  // of the same size nearly always
  const auto panel = [&](int which) { return Vector<float>(memory.data() + which * size, size); };
  for (std::int64_t left = 0; left < columns_of_c; left += width) {
    const std::int64_t right = std::min(left + width, columns_of_c);
    const auto b_panel = widen(exec, panel(0), panel_of(b, !transpose_b, left, right));
    for (std::int64_t top = 0; top < rows_of_c; top += height) {
      const std::int64_t bottom = std::min(top + height, rows_of_c);
      const auto a_panel = widen(exec, panel(1), panel_of(a, transpose_a, top, bottom));
      const Matrix<C> part = columns(rows(c, top, bottom), left, right);
      if constexpr (is_narrow<C>) {
        const Matrix<float> product(panel(2).data(), bottom - top, right - left);
        MatmulOptions assigning = options;
        assigning.beta = 0.0;
        matmul<float>(exec, product, a_panel, b_panel, assigning);
        store(exec, part, product, static_cast<float>(options.beta));
      } else {
        matmul<float>(exec, part, a_panel, b_panel, options);
      }
    }
  }
}

template <class C, class T>
void multiply(const ExecutionSpace& exec, const Matrix<C>& c, const ConstMatrix<T>& a,
              const ConstMatrix<T>& b, MatmulOptions options, std::int64_t k) {
  if constexpr (is_narrow<T>) {
    gemm_of_bfloat16<C>(exec, c, a, b, options, k);
  } else {
    gemm<ExecutionSpace, T>(exec, c, a, b, options);
  }
}

#endif

}  // namespace

template <class C, class T>
void matmul(const ExecutionSpace& exec, const Matrix<C>& c, ConstMatrix<T> a, ConstMatrix<T> b,
            MatmulOptions options) {
  const bool transpose_a = options.a == Transpose::yes;
  const bool transpose_b = options.b == Transpose::yes;
  const std::size_t k = a.extent(transpose_a ? 0 : 1);
  ensure(a.extent(transpose_a ? 1 : 0) == c.extent(0) && b.extent(transpose_b ? 0 : 1) == c.extent(1) &&
             b.extent(transpose_b ? 1 : 0) == k,
         "matmul: extents do not match");
  if (c.extent(0) == 0 || c.extent(1) == 0) return;
  // Kokkos Kernels 3.4 does nothing for k = 0, and 4.x takes one column for a contiguous vector.
  if (k == 0 || (host_accessible && c.extent(1) == 1)) {
    matmul_by_entry<C, T>(exec, c, a, b, options, k);
  } else {
    multiply<C, T>(exec, c, a, b, options, k);
  }
}

template <class T>
void linear_forward(const ExecutionSpace& exec, const Matrix<T>& y, ConstMatrix<T> x, ConstMatrix<T> weight) {
  matmul<T>(exec, y, x, weight, {.b = Transpose::yes});
}

template <class T>
void linear_backward_input(const ExecutionSpace& exec, const Matrix<T>& dx, ConstMatrix<T> dy,
                           ConstMatrix<T> weight, bool accumulate) {
  matmul<T>(exec, dx, dy, weight, {.beta = accumulate ? 1.0 : 0.0});
}

template <class T>
void linear_backward_weight(const ExecutionSpace& exec, const Matrix<Compute<T>>& dweight, ConstMatrix<T> dy,
                            ConstMatrix<T> x) {
  matmul<Compute<T>, T>(exec, dweight, dy, x, {.a = Transpose::yes, .beta = 1.0});
}

#define STRAIT_INSTANTIATE(T)                                                                               \
  template void matmul<T, T>(const ExecutionSpace&, const Matrix<T>&, ConstMatrix<T>, ConstMatrix<T>,       \
                             MatmulOptions);                                                                \
  template void linear_forward<T>(const ExecutionSpace&, const Matrix<T>&, ConstMatrix<T>, ConstMatrix<T>); \
  template void linear_backward_input<T>(const ExecutionSpace&, const Matrix<T>&, ConstMatrix<T>,           \
                                         ConstMatrix<T>, bool);                                             \
  template void linear_backward_weight<T>(const ExecutionSpace&, const Matrix<Compute<T>>&, ConstMatrix<T>, \
                                          ConstMatrix<T>);
STRAIT_INSTANTIATE(float)
STRAIT_INSTANTIATE(double)
STRAIT_INSTANTIATE(bfloat16)
#undef STRAIT_INSTANTIATE

template void matmul<float, bfloat16>(const ExecutionSpace&, const Matrix<float>&, ConstMatrix<bfloat16>,
                                      ConstMatrix<bfloat16>, MatmulOptions);

}  // namespace strait::kernels
