#pragma once
// Dense decompositions: the one facade over LAPACK on hosts and cuSOLVER on CUDA. Vectors are rows of the
// matrices here, which is where both libraries keep their columns.

#include "strait/core/tensor.hpp"

#include <memory>

namespace strait::kernels {

/// Decomposes square matrices of up to `largest` rows, on one execution space instance at a time. Copies
/// share the scratch.
template <class T>
class Decomposer {
 public:
  explicit Decomposer(std::int64_t largest);

  /// Scratch that is held between calls.
  static std::int64_t bytes_needed(std::int64_t largest);

  /// a [n, n], symmetric and without gaps, <- its eigenvectors, orthonormal, those of large eigenvalues
  /// first. About 2 n^2 elements of scratch live as long as the call. Waits. Fails with ExitCode::numerical
  /// where a is not finite.
  void eigenvectors(const ExecutionSpace& exec, const Matrix<T>& a) const;

  /// q [n, n], without gaps, <- an orthonormal basis. Its first k rows span what the first k rows of q did,
  /// for each k up to `count` <= n; the rows of q behind are not read. It is Q^T of the Q R of q^T's first
  /// `count` columns by Householder's reflections, signs as they come, which takes dependent rows too.
  void orthonormal_basis(const ExecutionSpace& exec, const Matrix<T>& q, std::int64_t count) const;

 private:
  class Solver;
  std::shared_ptr<Solver> solver_;
};

}  // namespace strait::kernels
