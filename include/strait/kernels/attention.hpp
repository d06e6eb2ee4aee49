#pragma once
// Causal attention with grouped-query heads, tiled over query rows: no [T, T] matrix is stored, tiles above
// the diagonal are never computed.

#include "strait/core/bits16.hpp"
#include "strait/core/tensor.hpp"

namespace strait::kernels {

struct AttentionShape {
  int sequences;  ///< tokens = sequences * sequence_length
  int sequence_length;
  int heads;
  int kv_heads;  ///< divides heads; query head h reads key-value head h / (heads / kv_heads)
  int head_dim;
};

/// out [tokens, heads * head_dim] = softmax(q k^T / sqrt(head_dim), causal) v, from
/// qkv [tokens, (heads + 2 kv_heads) * head_dim] = [q | k | v], rotated already.
/// lse [tokens, heads] keeps the log-sum-exp of each row of scores for the backward.
template <class T>
void attention_forward(const ExecutionSpace& exec, const Matrix<T>& out, const Matrix<Compute<T>>& lse,
                       ConstMatrix<T> qkv, const AttentionShape& shape);

/// dqkv, shaped as qkv, from dout; scores are recomputed tile by tile from qkv and lse.
template <class T>
void attention_backward(const ExecutionSpace& exec, const Matrix<T>& dqkv, ConstMatrix<T> dout,
                        ConstMatrix<T> qkv, ConstMatrix<T> out, ConstMatrix<Compute<T>> lse,
                        const AttentionShape& shape);

}  // namespace strait::kernels
