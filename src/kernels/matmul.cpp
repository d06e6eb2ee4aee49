#include "strait/kernels/matmul.hpp"

#include "strait/core/error.hpp"

#include <KokkosBlas3_gemm.hpp>

namespace strait::kernels {

namespace {

/// One work item per entry of c: for shapes that KokkosBlas does not handle.
template <class T>
void matmul_by_entry(const ExecutionSpace& exec, const Matrix<T>& c, const ConstMatrix<T>& a,
                     const ConstMatrix<T>& b, MatmulOptions options, std::int64_t k) {
  const std::int64_t n = c.extent(1);
  const bool transpose_a = options.a == Transpose::yes;
  const bool transpose_b = options.b == Transpose::yes;
  const T alpha = static_cast<T>(options.alpha);
  const T beta = static_cast<T>(options.beta);
  Kokkos::parallel_for(
      "strait::matmul::by_entry", RangePolicy(exec, 0, c.extent(0) * n), KOKKOS_LAMBDA(std::int64_t entry) {
        const std::int64_t i = entry / n, j = entry % n;
        T sum = 0;
        for (std::int64_t l = 0; l < k; ++l) {
          sum += (transpose_a ? a(l, i) : a(i, l)) * (transpose_b ? b(j, l) : b(l, j));
        }
        c(i, j) = beta == T(0) ? alpha * sum : alpha * sum + beta * c(i, j);
      });
}

/// KokkosBlas::gemm on `exec`; Kokkos Kernels before 3.6 knows only the default instance.
template <class Exec, class T>
void gemm(const Exec& exec, const Matrix<T>& c, const ConstMatrix<T>& a, const ConstMatrix<T>& b,
          MatmulOptions options) {
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

}  // namespace

template <class T>
void matmul(const ExecutionSpace& exec, const Matrix<T>& c, ConstMatrix<T> a, ConstMatrix<T> b,
            MatmulOptions options) {
  const bool transpose_a = options.a == Transpose::yes;
  const bool transpose_b = options.b == Transpose::yes;
  const std::size_t k = a.extent(transpose_a ? 0 : 1);
  ensure(a.extent(transpose_a ? 1 : 0) == c.extent(0) && b.extent(transpose_b ? 0 : 1) == c.extent(1) &&
             b.extent(transpose_b ? 1 : 0) == k,
         "matmul: extents do not match");
  if (c.extent(0) == 0 || c.extent(1) == 0) return;
  // Kokkos Kernels 3.4 does nothing for k = 0, and 4.x takes one column for a contiguous vector.
  if (k == 0 || c.extent(1) == 1) {
    matmul_by_entry<T>(exec, c, a, b, options, k);
  } else {
    gemm<ExecutionSpace, T>(exec, c, a, b, options);
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
void linear_backward_weight(const ExecutionSpace& exec, const Matrix<T>& dweight, ConstMatrix<T> dy,
                            ConstMatrix<T> x) {
  matmul<T>(exec, dweight, dy, x, {.a = Transpose::yes, .beta = 1.0});
}

#define STRAIT_INSTANTIATE(T)                                                                               \
  template void matmul<T>(const ExecutionSpace&, const Matrix<T>&, ConstMatrix<T>, ConstMatrix<T>,          \
                          MatmulOptions);                                                                   \
  template void linear_forward<T>(const ExecutionSpace&, const Matrix<T>&, ConstMatrix<T>, ConstMatrix<T>); \
  template void linear_backward_input<T>(const ExecutionSpace&, const Matrix<T>&, ConstMatrix<T>,           \
                                         ConstMatrix<T>, bool);                                             \
  template void linear_backward_weight<T>(const ExecutionSpace&, const Matrix<T>&, ConstMatrix<T>,          \
                                          ConstMatrix<T>);
STRAIT_INSTANTIATE(float)
STRAIT_INSTANTIATE(double)
#undef STRAIT_INSTANTIATE

}  // namespace strait::kernels
