#pragma once
// Passes over whole tensors.

#include "strait/core/tensor.hpp"

namespace strait::kernels {

/// y += x, rows may be strided.
template <class T>
void add(const ExecutionSpace& exec, const Matrix<T>& y, ConstMatrix<T> x);

/// y = x, rounded to nearest even where y stores fewer bits.
template <class T, class From = T>
void copy(const ExecutionSpace& exec, const Matrix<T>& y, ConstMatrix<From> x);

/// z = alpha x + beta y; z may be x or y. Rows may be strided.
template <class T>
void combine(const ExecutionSpace& exec, const Matrix<T>& z, double alpha, ConstMatrix<T> x, double beta,
             ConstMatrix<T> y);

/// Sum of squares of x in double, in an order that does not depend on threads; waits for the result.
template <class T>
double sum_of_squares(const ExecutionSpace& exec, ConstVector<T> x);
/// The same of a matrix whose rows follow each other without gaps.
template <class T>
double sum_of_squares(const ExecutionSpace& exec, ConstMatrix<T> x);

/// x [n] = standard deviation * normal numbers (seed, stream, index), the same on every backend to rounding.
template <class T>
void fill_normal(const ExecutionSpace& exec, const Vector<T>& x, double standard_deviation,
                 std::uint64_t seed, std::uint64_t stream);

}  // namespace strait::kernels
