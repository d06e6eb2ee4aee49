#pragma once
// Whether two vectors hold the same bits, from one number of each.

#include "strait/core/tensor.hpp"

#include <cstdint>

namespace strait::kernels {

/// sum [1] <- sum over the elements of x [n] of a mix of each one's bits with its place, modulo 2^64: the
/// order of summation is of no account.
template <class T>
void checksum(const ExecutionSpace& exec, const Vector<std::uint64_t>& sum, ConstVector<T> x);

/// The same as a number of the host. Waits.
template <class T>
std::uint64_t checksum(const ExecutionSpace& exec, ConstVector<T> x);

}  // namespace strait::kernels
