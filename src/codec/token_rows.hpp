#pragma once
// Activations less what their tokens say.

#include "strait/core/tensor.hpp"

namespace strait::codec {

/// y [tokens, hidden] = x - table[ids], table [vocab, hidden].
template <class T>
void subtract_rows(const ExecutionSpace& exec, const Matrix<T>& y, ConstMatrix<T> x, ConstMatrix<T> table,
                   const TokenIds& ids);

}  // namespace strait::codec
