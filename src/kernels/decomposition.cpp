#include "strait/kernels/decomposition.hpp"

#include "strait/core/error.hpp"

#ifdef KOKKOS_ENABLE_CUDA
#include "cusolver_solver.hpp"
#else
#include "lapack_solver.hpp"
#endif

namespace strait::kernels {
namespace {

#ifdef KOKKOS_ENABLE_CUDA
template <class T>
using BackEnd = CusolverSolver<T>;
#else
template <class T>
using BackEnd = LapackSolver<T>;
#endif

/// Exchanges rows i and n - 1 - i.
template <class T>
void reverse_rows(const ExecutionSpace& exec, const Matrix<T>& a) {
  const auto row_count = static_cast<std::int64_t>(a.extent(0));
  const auto width = static_cast<std::int64_t>(a.extent(1));
  Kokkos::parallel_for(
      "strait::decomposition::reverse", RangePolicy(exec, 0, row_count / 2 * width),
      KOKKOS_LAMBDA(std::int64_t entry) {
        const std::int64_t i = entry / width, j = entry % width;
        const T value = a(i, j);
        a(i, j) = a(row_count - 1 - i, j);
        a(row_count - 1 - i, j) = value;
      });
}

template <class T>
void ensure_square(const Matrix<T>& a) {
  ensure(a.extent(0) == a.extent(1) && a.span_is_contiguous(), "decomposition: a square without gaps");
}

}  // namespace

template <class T>
class Decomposer<T>::Solver : public BackEnd<T> {
 public:
  using BackEnd<T>::BackEnd;
};

template <class T>
Decomposer<T>::Decomposer(std::int64_t largest) : solver_(std::make_shared<Solver>(largest)) {}

template <class T>
std::int64_t Decomposer<T>::bytes_needed(std::int64_t largest) {
  return BackEnd<T>::bytes_needed(largest);
}

template <class T>
void Decomposer<T>::eigenvectors(const ExecutionSpace& exec, const Matrix<T>& a) const {
  ensure_square(a);
  if (a.size() == 0) return;
  if (!solver_->eigenvectors(exec, a)) {
    fail(ExitCode::numerical, "a matrix of {} rows has no eigenvectors: its entries are not finite",
         a.extent(0));
  }
  reverse_rows(exec, a);
}

template <class T>
void Decomposer<T>::orthonormal_basis(const ExecutionSpace& exec, const Matrix<T>& q,
                                      std::int64_t count) const {
  ensure_square(q);
  ensure(0 <= count && count <= static_cast<std::int64_t>(q.extent(0)), "decomposition: count is too large");
  if (q.size() > 0) solver_->orthonormal_basis(exec, q, count);
}

template class Decomposer<float>;
template class Decomposer<double>;

}  // namespace strait::kernels
