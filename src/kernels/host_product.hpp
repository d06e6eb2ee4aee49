#pragma once
// Matrix products inside kernels of hosts: each thread multiplies a part with a BLAS of one thread, so that
// there is one pool of threads.

#include "strait/kernels/matmul.hpp"

#include <algorithm>

extern "C" {
void sgemm_(const char*, const char*, const int*, const int*, const int*, const float*, const float*,
            const int*, const float*, const int*, const float*, float*, const int*);
void dgemm_(const char*, const char*, const int*, const int*, const int*, const double*, const double*,
            const int*, const double*, const int*, const double*, double*, const int*);
}

namespace strait::kernels {

namespace blas {

// BLAS keeps columns together where we keep rows: it computes the transpose, from the transposes.
inline void gemm(char op_a, char op_b, int m, int n, int k, float alpha, const float* a, int row_a,
                 const float* b, int row_b, float beta, float* c, int row_c) {
  sgemm_(&op_b, &op_a, &n, &m, &k, &alpha, b, &row_b, a, &row_a, &beta, c, &row_c);
}
inline void gemm(char op_a, char op_b, int m, int n, int k, double alpha, const double* a, int row_a,
                 const double* b, int row_b, double beta, double* c, int row_c) {
  dgemm_(&op_b, &op_a, &n, &m, &k, &alpha, b, &row_b, a, &row_a, &beta, c, &row_c);
}

}  // namespace blas

/// A product as pointers and row strides, of which threads compute blocks of c.
template <class T>
class HostProduct {
 public:
  HostProduct(const Matrix<T>& c, const ConstMatrix<T>& a, const ConstMatrix<T>& b,
              const MatmulOptions& options)
      : m_(c.extent(0)),
        n_(c.extent(1)),
        k_(a.extent(options.a == Transpose::yes ? 0 : 1)),
        options_(options),
        c_(c.data()),
        a_(a.data()),
        b_(b.data()),
        row_c_(row_of(c)),
        row_a_(row_of(a)),
        row_b_(row_of(b)) {}

  std::int64_t m() const { return m_; }
  std::int64_t n() const { return n_; }
  double multiplications() const { return double(m_) * double(n_) * double(k_); }

  /// Rows [first_row, last_row) and columns [first_column, last_column) of c.
  void compute(std::int64_t first_row, std::int64_t last_row, std::int64_t first_column,
               std::int64_t last_column) const {
    if (first_row == last_row || first_column == last_column) return;
    const bool transpose_a = options_.a == Transpose::yes, transpose_b = options_.b == Transpose::yes;
    blas::gemm(transpose_a ? 'T' : 'N', transpose_b ? 'T' : 'N', static_cast<int>(last_row - first_row),
               static_cast<int>(last_column - first_column), static_cast<int>(k_),
               static_cast<T>(options_.alpha), a_ + first_row * (transpose_a ? 1 : row_a_),
               static_cast<int>(row_a_), b_ + first_column * (transpose_b ? row_b_ : 1),
               static_cast<int>(row_b_), static_cast<T>(options_.beta),
               c_ + first_row * row_c_ + first_column, static_cast<int>(row_c_));
  }
  void compute() const { compute(0, m_, 0, n_); }

 private:
  template <class View>
  static std::int64_t row_of(const View& matrix) {
    const auto width = std::max<std::int64_t>(1, matrix.extent(1));
    return matrix.extent(0) > 1 ? std::max<std::int64_t>(matrix.stride(0), width) : width;
  }

  std::int64_t m_, n_, k_;
  MatmulOptions options_;
  T* c_;
  const T *a_, *b_;
  std::int64_t row_c_, row_a_, row_b_;
};

/// A grid of blocks of c, one for each thread that is worth waking: as square as their number allows.
template <class T>
class DividedProduct {
 public:
  DividedProduct(const ExecutionSpace& exec, const HostProduct<T>& product) : product_(product) {
    // Multiplications of a thread: to wake it takes some microseconds, and OpenBLAS adds up in another order
    // in products of fewer than 10^6, so that larger parts give the bits of the whole.
    constexpr double smallest = 1.5e6;
    const double worth = product.multiplications() / smallest;
    const int threads = static_cast<int>(std::clamp<double>(worth, 1.0, exec.concurrency()));
    const std::int64_t m = product.m(), n = product.n();
    for (int across = 1; across <= threads; ++across) {
      if (threads % across != 0) continue;
      const int down = threads / across;
      // What a thread reads of a and b goes with the rows and columns of its block.
      if (across == 1 || m / down + n / across < m / down_ + n / across_) {
        down_ = down;
        across_ = across;
      }
    }
  }

  int blocks() const { return down_ * across_; }

  void operator()(std::int64_t block) const {
    const std::int64_t m = product_.m(), n = product_.n();
    const std::int64_t row = block / across_, column = block % across_;
    product_.compute(edge(m, row, down_), edge(m, row + 1, down_), edge(n, column, across_),
                     edge(n, column + 1, across_));
  }

 private:
  /// Where part `part` of `parts` begins, at whole vectors of the BLAS.
  static std::int64_t edge(std::int64_t extent, std::int64_t part, std::int64_t parts) {
    constexpr std::int64_t vector = 16;
    return part == parts ? extent : extent * part / parts / vector * vector;
  }

  HostProduct<T> product_;
  int down_ = 1, across_ = 1;
};

}  // namespace strait::kernels
