#pragma once
// Tensor aliases. Every tensor is LayoutRight on every backend: files and `[out, in]` weights need it.

#include "strait/core/kokkos.hpp"

#include <cstdint>
#include <type_traits>

namespace strait {

template <class T>
using Vector = Kokkos::View<T*, Kokkos::LayoutRight, MemorySpace>;
template <class T>
using Matrix = Kokkos::View<T**, Kokkos::LayoutRight, MemorySpace>;

/// Read-only parameters of functions templated on the scalar: not deduced, so that a `Matrix<T>` converts.
template <class T>
using ConstVector = std::type_identity_t<Kokkos::View<const T*, Kokkos::LayoutRight, MemorySpace>>;
template <class T>
using ConstMatrix = std::type_identity_t<Kokkos::View<const T**, Kokkos::LayoutRight, MemorySpace>>;

/// Token ids of one micro-batch, [tokens].
using TokenIds = Kokkos::View<const std::int32_t*, Kokkos::LayoutRight, MemorySpace>;
using MutableTokenIds = Kokkos::View<std::int32_t*, Kokkos::LayoutRight, MemorySpace>;

/// Rows [begin, end) of a matrix; stays LayoutRight.
template <class T>
Kokkos::View<T**, Kokkos::LayoutRight, MemorySpace> rows(
    const Kokkos::View<T**, Kokkos::LayoutRight, MemorySpace>& m, std::int64_t begin, std::int64_t end) {
  return Kokkos::subview(m, std::make_pair(begin, end), Kokkos::ALL());
}

/// Columns [begin, end) of a matrix; stays LayoutRight with the parent's row stride.
template <class T>
Kokkos::View<T**, Kokkos::LayoutRight, MemorySpace> columns(
    const Kokkos::View<T**, Kokkos::LayoutRight, MemorySpace>& m, std::int64_t begin, std::int64_t end) {
  return Kokkos::subview(m, Kokkos::ALL(), std::make_pair(begin, end));
}

/// A contiguous vector seen as a matrix [rows, columns], unmanaged: the vector must outlive it.
template <class T>
Matrix<T> as_matrix(const Vector<T>& v, std::int64_t offset, std::int64_t rows, std::int64_t columns) {
  return Matrix<T>(v.data() + offset, rows, columns);
}

}  // namespace strait
