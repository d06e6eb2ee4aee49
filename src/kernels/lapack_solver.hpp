#pragma once
// Decomposer's work by LAPACK, in host memory.

#include "strait/core/error.hpp"
#include "strait/core/host_mirror.hpp"

#include "lapack.hpp"

#include <algorithm>
#include <cmath>

namespace strait::kernels {

template <class T>
class LapackSolver {
 public:
  explicit LapackSolver(std::int64_t largest)
      : work_(Kokkos::view_alloc(Kokkos::WithoutInitializing, "strait::decomposition::work"),
              work_size(largest)),
        reflections_(Kokkos::view_alloc(Kokkos::WithoutInitializing, "strait::decomposition::reflections"),
                     largest) {}

  static std::int64_t bytes_needed(std::int64_t largest) {
    return (work_size(largest) + largest) * static_cast<std::int64_t>(sizeof(T));
  }

  /// Rows of a <- eigenvectors, those of small eigenvalues first; false where LAPACK finds none.
  bool eigenvectors(const ExecutionSpace& exec, const Matrix<T>& a) const {
    const int n = static_cast<int>(a.extent(0));
    const int size = 1 + 6 * n + 2 * n * n, integer_size = 3 + 5 * n;
    const HostVector<T> work(Kokkos::view_alloc(Kokkos::WithoutInitializing, "strait::decomposition::eigen"),
                             size);
    const HostVector<T> values("strait::decomposition::eigenvalues", n);
    const HostVector<int> integers("strait::decomposition::integers", integer_size);
    int info = 0;
    on_host(exec, a, [&](T* data) {
      info = lapack::syevd(n, data, values.data(), work.data(), size, integers.data(), integer_size);
    });
    // Numbers that are not finite pass through some implementations unnoticed.
    return info == 0 && std::all_of(values.data(), values.data() + n, [](T x) { return std::isfinite(x); });
  }

  /// Rows of q <- Q^T of its first `count` rows' Q R.
  void orthonormal_basis(const ExecutionSpace& exec, const Matrix<T>& q, std::int64_t count) const {
    const int n = static_cast<int>(q.extent(0)), k = static_cast<int>(count);
    const int size = static_cast<int>(work_.extent(0));
    on_host(exec, q, [&](T* data) {
      const int factored = lapack::geqrf(n, k, data, reflections_.data(), work_.data(), size);
      const int formed = lapack::orgqr(n, k, data, reflections_.data(), work_.data(), size);
      ensure(factored == 0 && formed == 0, "decomposition: LAPACK refuses its arguments");
    });
  }

 private:
  template <class Value>
  using HostVector = Kokkos::View<Value*, Kokkos::LayoutRight, HostSpace>;

  /// The best work size for orthonormal_basis.
  static std::int64_t work_size(std::int64_t largest) {
    const int n = static_cast<int>(std::max<std::int64_t>(largest, 1));
    T factor = 0, form = 0, unused = 0;
    lapack::geqrf(n, n, &unused, &unused, &factor, -1);
    lapack::orgqr(n, n, &unused, &unused, &form, -1);
    return static_cast<std::int64_t>(std::max(factor, form));
  }

  /// f on the entries of a, in place where the host can reach them.
  template <class F>
  static void on_host(const ExecutionSpace& exec, const Matrix<T>& a, const F& f) {
    if constexpr (host_accessible) {
      fence(exec, "strait::decomposition: LAPACK reads what kernels wrote");
      f(a.data());
    } else {
      const auto host = to_host(exec, a);
      f(host.data());
      to_device(exec, a, host);
    }
  }

  HostVector<T> work_, reflections_;
};

}  // namespace strait::kernels
