#pragma once
// Orthogonal factors of polar decompositions by products of matrices alone, and the Stiefel manifold
// St(d, r) = {A [d, r] : A^T A = I} that they keep a matrix on.

#include "strait/core/tensor.hpp"

namespace strait::kernels {

/// Scratch of the functions below for matrices [rows, columns]: 2 rows columns + 2 min(rows, columns)^2
/// elements. Used by one execution space instance at a time.
template <class T>
class PolarWorkspace {
 public:
  PolarWorkspace(std::int64_t row_count, std::int64_t column_count);

  static std::int64_t bytes_needed(std::int64_t row_count, std::int64_t column_count);

  /// Parts of the storage, contiguous: `which` of two [rows, columns], of two [order, order], and the
  /// partial sums of a norm. Sizes must not exceed those of construction.
  Matrix<T> iterate(int which, std::int64_t row_count, std::int64_t column_count) const;
  Matrix<T> square(int which, std::int64_t order) const;
  Vector<double> sums() const { return sums_; }

 private:
  std::int64_t iterate_size_;
  std::int64_t order_;
  Vector<T> storage_;
  Vector<double> sums_;
};

/// y [m, n] = size x / (|x|_F + floor), in Frobenius' norm; 0 where x = 0. y may be x. Sizes as for msign.
template <class T>
void normalize(const ExecutionSpace& exec, const Matrix<T>& y, ConstMatrix<T> x, double size,
               const PolarWorkspace<T>& workspace, double floor = 0.0);

struct MsignOptions {
  int iterations = 5;  ///< enough for a direction: singular values of the result within about 0.1 of 1
};

/// d [m, n] = the orthogonal polar factor U V^T of x = U S V^T, by Polar Express (Amsel, Persson, Musco &
/// Gower, arXiv 2505.16932): x / (1.01 |x|_F + 1e-7), then x <- a x + b (x x^T) x + c (x x^T)^2 x on the
/// smaller side, with coefficients that vary over the iterations. Singular values far below |x|_F stay small;
/// x = 0 gives 0. d may be x. The workspace is at least of size [m, n] or [n, m].
template <class T>
void msign(const ExecutionSpace& exec, const Matrix<T>& d, ConstMatrix<T> x,
           const PolarWorkspace<T>& workspace, MsignOptions options = {});

/// a [d, r] <- a (15/8 - 10/8 W + 3/8 W^2), W = a^T a: one step of the quintic Newton-Schulz iteration
/// without normalisation. Takes singular values 1 + e to 1 + O(e^3), so that A - alpha D of a tangent
/// direction with |D|_2 = 1 returns to the manifold. Diverges for singular values above 1.5.
template <class T>
void polar_retract(const ExecutionSpace& exec, const Matrix<T>& a, const PolarWorkspace<T>& workspace);

/// s [r, r] <- (s + s^T) / 2.
template <class T>
void symmetrize(const ExecutionSpace& exec, const Matrix<T>& s);

/// g [d, r] <- g - a sym(a^T g), the orthogonal projection to the tangent space of the manifold at a [d, r].
template <class T>
void project_to_tangent(const ExecutionSpace& exec, const Matrix<T>& g, ConstMatrix<T> a,
                        const PolarWorkspace<T>& workspace);

}  // namespace strait::kernels
