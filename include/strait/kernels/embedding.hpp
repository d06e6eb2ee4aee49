#pragma once
// Token embedding: gather forward, deterministic scatter-add backward.

#include "strait/core/bits16.hpp"
#include "strait/core/tensor.hpp"

namespace strait::kernels {

/// x [tokens, hidden] = table [vocab, hidden] at ids [tokens].
template <class T>
void embedding_forward(const ExecutionSpace& exec, const Matrix<T>& x, ConstMatrix<T> table,
                       const TokenIds& ids);

/// dtable [vocab, hidden] += scale * dx [tokens, hidden] scattered by ids, whatever the threads in one order:
/// an id's rows from first to last in chunks of 32, then the sums of these.
template <class T>
void embedding_backward(const ExecutionSpace& exec, const Matrix<Compute<T>>& dtable, ConstMatrix<T> dx,
                        const TokenIds& ids, double scale = 1.0);

}  // namespace strait::kernels
