#pragma once
// Decomposer's work by cuSOLVER, on the stream of the execution space instance; empty without CUDA.

#include "strait/core/kokkos.hpp"

#ifdef KOKKOS_ENABLE_CUDA

#include "strait/core/error.hpp"
#include "strait/core/host_mirror.hpp"

#include <cusolverDn.h>

#include <algorithm>
#include <cmath>

namespace strait::kernels {

namespace cusolver {

inline void check(cusolverStatus_t status) {
  ensure(status == CUSOLVER_STATUS_SUCCESS, "decomposition: cuSOLVER refuses its arguments");
}

/// A handle that is destroyed with this object.
class Handle {
 public:
  Handle() { check(cusolverDnCreate(&handle_)); }
  ~Handle() { cusolverDnDestroy(handle_); }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  cusolverDnHandle_t get() const { return handle_; }
  cusolverDnHandle_t on(const ExecutionSpace& exec) const {
    check(cusolverDnSetStream(handle_, exec.cuda_stream()));
    return handle_;
  }

 private:
  cusolverDnHandle_t handle_ = nullptr;
};

/// The routines of one precision.
template <class T>
struct Routines;
template <>
struct Routines<float> {
  static constexpr auto geqrf_size = cusolverDnSgeqrf_bufferSize;
  static constexpr auto geqrf = cusolverDnSgeqrf;
  static constexpr auto orgqr_size = cusolverDnSorgqr_bufferSize;
  static constexpr auto orgqr = cusolverDnSorgqr;
  static constexpr auto syevd_size = cusolverDnSsyevd_bufferSize;
  static constexpr auto syevd = cusolverDnSsyevd;
};
template <>
struct Routines<double> {
  static constexpr auto geqrf_size = cusolverDnDgeqrf_bufferSize;
  static constexpr auto geqrf = cusolverDnDgeqrf;
  static constexpr auto orgqr_size = cusolverDnDorgqr_bufferSize;
  static constexpr auto orgqr = cusolverDnDorgqr;
  static constexpr auto syevd_size = cusolverDnDsyevd_bufferSize;
  static constexpr auto syevd = cusolverDnDsyevd;
};

template <class T>
void set_identity(const ExecutionSpace& exec, const Matrix<T>& q) {
  const auto order = static_cast<std::int64_t>(q.extent(0));
  Kokkos::parallel_for(
      "strait::decomposition::identity", RangePolicy(exec, 0, order * order),
      KOKKOS_LAMBDA(std::int64_t entry) { q.data()[entry] = entry % (order + 1) == 0 ? T(1) : T(0); });
}

}  // namespace cusolver

template <class T>
class CusolverSolver {
 public:
  explicit CusolverSolver(std::int64_t largest)
      : work_(Kokkos::view_alloc(Kokkos::WithoutInitializing, "strait::decomposition::work"),
              work_size(largest)),
        reflections_(Kokkos::view_alloc(Kokkos::WithoutInitializing, "strait::decomposition::reflections"),
                     largest),
        info_("strait::decomposition::info", 1) {}

  static std::int64_t bytes_needed(std::int64_t largest) {
    constexpr std::int64_t word = 8;  // Kokkos allocates whole ones
    const auto whole = [](std::int64_t bytes) { return (bytes + word - 1) / word * word; };
    return whole(work_size(largest) * sizeof(T)) + whole(largest * sizeof(T)) + whole(sizeof(int));
  }

  /// Rows of a <- eigenvectors, those of small eigenvalues first; false where cuSOLVER finds none. Waits.
  bool eigenvectors(const ExecutionSpace& exec, const Matrix<T>& a) const {
    const int n = static_cast<int>(a.extent(0));
    const Vector<T> values("strait::decomposition::eigenvalues", n);
    int size = 0;
    const auto handle = handle_.on(exec);
    cusolver::check(Routine::syevd_size(handle, CUSOLVER_EIG_MODE_VECTOR, CUBLAS_FILL_MODE_LOWER, n, a.data(),
                                        n, values.data(), &size));
    const Vector<T> work(Kokkos::view_alloc(Kokkos::WithoutInitializing, "strait::decomposition::eigen"),
                         size);
    cusolver::check(Routine::syevd(handle, CUSOLVER_EIG_MODE_VECTOR, CUBLAS_FILL_MODE_LOWER, n, a.data(), n,
                                   values.data(), work.data(), size, info_.data()));
    const auto found = to_host(exec, values);
    return to_host(exec, info_)(0) == 0 &&
           std::all_of(found.data(), found.data() + n, [](T x) { return std::isfinite(x); });
  }

  /// Rows of q <- Q^T of its first `count` rows' Q R.
  void orthonormal_basis(const ExecutionSpace& exec, const Matrix<T>& q, std::int64_t count) const {
    if (count == 0) return cusolver::set_identity(exec, q);  // cuSOLVER need not take no columns
    const int n = static_cast<int>(q.extent(0)), k = static_cast<int>(count);
    const int size = static_cast<int>(work_.extent(0));
    const auto handle = handle_.on(exec);
    cusolver::check(
        Routine::geqrf(handle, n, k, q.data(), n, reflections_.data(), work_.data(), size, info_.data()));
    cusolver::check(
        Routine::orgqr(handle, n, n, k, q.data(), n, reflections_.data(), work_.data(), size, info_.data()));
  }

 private:
  using Routine = cusolver::Routines<T>;

  static std::int64_t work_size(std::int64_t largest) {
    const cusolver::Handle handle;
    const int n = static_cast<int>(std::max<std::int64_t>(largest, 1));
    int factor = 0, form = 0;
    cusolver::check(Routine::geqrf_size(handle.get(), n, n, nullptr, n, &factor));
    cusolver::check(Routine::orgqr_size(handle.get(), n, n, n, nullptr, n, nullptr, &form));
    return std::max(factor, form);
  }

  cusolver::Handle handle_;
  Vector<T> work_, reflections_;
  Vector<int> info_;
};

}  // namespace strait::kernels

#endif  // KOKKOS_ENABLE_CUDA
