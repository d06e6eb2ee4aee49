#pragma once
// Rotary position embedding in Hugging Face's half-split order: channel i is paired with i + head_dim / 2.

#include "strait/core/bits16.hpp"
#include "strait/core/tensor.hpp"

namespace strait::kernels {

enum class Rotation { forward, backward };

/// Fills table [context, head_dim] with cos (first half of the columns) and sin (second half) of
/// position * theta^(-2 i / head_dim).
template <class T>
void rope_table(const ExecutionSpace& exec, const Matrix<T>& table, double theta);

/// Rotates `heads` heads of x [tokens, >= heads * head_dim] in place, the token's position being
/// token mod sequence_length. Backward rotates by the opposite angle.
template <class T>
void rope(const ExecutionSpace& exec, const Matrix<T>& x, ConstMatrix<Compute<T>> table, int heads,
          int head_dim, int sequence_length, Rotation direction);

}  // namespace strait::kernels
