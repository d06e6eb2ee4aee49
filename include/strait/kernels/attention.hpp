#pragma once
// Causal attention with grouped-query heads, in tiles of a block of queries against a block of keys with the
// softmax online (Dao et al. 2022): no [T, T] matrix is stored, tiles above the diagonal are never computed.

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

/// How the work is cut; 0 is what suits the machine. The result depends on it by rounding only.
struct AttentionTiling {
  int query_rows = 0;
  int key_rows = 0;  ///< of a head at once: its scores take [key_rows, query_rows] in Compute<T>
  int batch = 0;     ///< pairs (sequence, key-value head) at once
  /// Whether products read queries, keys and values where they are, as numbers of type T, and probabilities
  /// and gradients of scores as such too: by tensor cores on CUDA if T is bfloat16 and heads and rows begin
  /// at multiples of 16 bytes. Otherwise heads are packed as Compute<T>, which hosts multiply faster.
  bool in_place = !host_accessible;
};

/// out [tokens, heads * head_dim] = softmax(q k^T / sqrt(head_dim), causal) v, from
/// qkv [tokens, (heads + 2 kv_heads) * head_dim] = [q | k | v], rotated already.
/// lse [tokens, heads] keeps the log-sum-exp of each row of scores for the backward.
template <class T>
void attention_forward(const ExecutionSpace& exec, const Matrix<T>& out, const Matrix<Compute<T>>& lse,
                       ConstMatrix<T> qkv, const AttentionShape& shape, const AttentionTiling& tiling = {});

/// dqkv, shaped as qkv, from dout; scores are recomputed tile by tile from qkv and lse.
template <class T>
void attention_backward(const ExecutionSpace& exec, const Matrix<T>& dqkv, ConstMatrix<T> dout,
                        ConstMatrix<T> qkv, ConstMatrix<T> out, ConstMatrix<Compute<T>> lse,
                        const AttentionShape& shape, const AttentionTiling& tiling = {});

}  // namespace strait::kernels
