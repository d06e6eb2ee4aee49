#pragma once
// Random matrices with orthonormal columns or rows.

#include "strait/core/tensor.hpp"

namespace strait::kernels {

/// q [rows, columns] of orthonormal columns, or rows where it is wide: the Q of Q R (L Q) of standard normal
/// numbers (seed, stream, row * columns + column), R's diagonal positive, which makes it uniform on the
/// manifold. Computed in double whatever T, by Cholesky QR twice (Yamamoto, Nakatsukasa, Yanagisawa & Fukaya,
/// ETNA 44, 2015); the small triangles are worked out on the host. |q^T q - I|_2 is 1e-13 in double and 1e-6
/// in float. Waits for `exec`. The same on every backend to rounding: ends that need equal bits send it.
template <class T>
void fill_orthonormal(const ExecutionSpace& exec, const Matrix<T>& q, std::uint64_t seed,
                      std::uint64_t stream);

/// q [rows, columns], tall, <- the Q of its own Q R, R's diagonal positive. Computed as above; the columns
/// must be independent, with a condition number below 1e7. Waits for `exec`.
template <class T>
void orthonormalize(const ExecutionSpace& exec, const Matrix<T>& q);

}  // namespace strait::kernels
