#pragma once
// What benchmarks work on.

#include "strait/core/bits16.hpp"
#include "strait/core/host_mirror.hpp"
#include "strait/core/random.hpp"
#include "strait/core/tensor.hpp"
#include "strait/kernels/elementwise.hpp"

namespace strait::perf {

/// [size] of normal numbers.
template <class T = float>
Vector<T> normal_vector(const ExecutionSpace& exec, std::int64_t size, std::uint64_t stream,
                        double scale = 1.0) {
  const Vector<T> v("strait::perf::vector", size);
  kernels::fill_normal<T>(exec, v, scale, 1, stream);
  return v;
}

/// [rows, columns] of normal numbers, rounded if T is bfloat16.
template <class T = float>
Matrix<T> normal_matrix(const ExecutionSpace& exec, std::int64_t row_count, std::int64_t column_count,
                        std::uint64_t stream, double scale = 1.0) {
  const Matrix<T> m("strait::perf::matrix", row_count, column_count);
  if constexpr (is_narrow<T>) {
    kernels::copy<T, Compute<T>>(exec, m,
                                 normal_matrix<Compute<T>>(exec, row_count, column_count, stream, scale));
  } else {
    kernels::fill_normal<T>(exec, Vector<T>(m.data(), m.size()), scale, 1, stream);
  }
  return m;
}

/// Token ids with the unevenness of language: the cube of a uniform number.
inline void fill_ids(const ExecutionSpace& exec, const MutableTokenIds& ids, int vocab) {
  auto host = to_host(exec, ids);
  const Philox random(1, 0);
  for (std::size_t t = 0; t < host.size(); ++t) {
    const double u = random.uniform(t);
    host(t) = static_cast<std::int32_t>(u * u * u * vocab);
  }
  to_device(exec, ids, host);
}

inline MutableTokenIds uneven_ids(const ExecutionSpace& exec, std::int64_t tokens, int vocab) {
  const MutableTokenIds ids("strait::perf::ids", tokens);
  fill_ids(exec, ids, vocab);
  return ids;
}

/// Bytes of so many numbers.
template <class T = float>
double bytes_of(double numbers) {
  return sizeof(T) * numbers;
}

}  // namespace strait::perf
