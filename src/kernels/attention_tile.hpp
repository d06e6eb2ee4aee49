#pragma once
// Device passes over one tile of queries of causal attention.
//
// A tile's scores are kept transposed, [keys, queries]: queries lie side by side, so that the softmax over
// keys vectorises on a host and coalesces on an accelerator without a reduction across lanes, and every
// matrix product of the forward and of the backward takes the layouts that BLAS multiplies fastest.

#include "strait/kernels/attention.hpp"
#include "strait/kernels/fast_math.hpp"

namespace strait::kernels::attention {

/// Neighbouring queries of one work item: some vectors' worth on a host, one per thread elsewhere.
inline constexpr int lanes = host_accessible ? 32 : 1;

/// Query heads of a batch of items. An item is a pair (sequence, key-value head); a batch never holds two
/// query heads of one item, so that their contributions to its keys and values do not collide.
struct HeadBatch {
  AttentionShape shape;
  int first_item;
  int items;
  int member;  ///< which of the query heads that share a key-value head

  KOKKOS_FUNCTION std::int64_t token(int item, int position) const {
    return std::int64_t((first_item + item) / shape.kv_heads) * shape.sequence_length + position;
  }
  KOKKOS_FUNCTION int kv_head(int item) const { return (first_item + item) % shape.kv_heads; }
  KOKKOS_FUNCTION int query_head(int item) const {
    return kv_head(item) * (shape.heads / shape.kv_heads) + member;
  }
  KOKKOS_FUNCTION int query_column(int item) const { return query_head(item) * shape.head_dim; }
  KOKKOS_FUNCTION int key_column(int item) const { return (shape.heads + kv_head(item)) * shape.head_dim; }
  KOKKOS_FUNCTION int value_column(int item) const {
    return (shape.heads + shape.kv_heads + kv_head(item)) * shape.head_dim;
  }
};

/// One tile of queries of a batch: positions [begin, end), which see the keys [0, end).
struct Tile {
  HeadBatch batch;
  int begin;
  int end;
  int width;  ///< columns of the scores: a multiple of `lanes`, at least end - begin
};

/// a . b in independent partial sums, so that the loop vectorises.
template <class T>
KOKKOS_INLINE_FUNCTION Compute<T> dot(const T* a, const T* b, int size) {
  using C = Compute<T>;
  constexpr int partial_sums = 16;
  C partial[partial_sums] = {};
  int i = 0;
  for (; i + partial_sums <= size; i += partial_sums) {
    for (int s = 0; s < partial_sums; ++s) partial[s] += a[i + s] * b[i + s];
  }
  C sum = 0;
  for (; i < size; ++i) sum += a[i] * b[i];
  for (int s = 0; s < partial_sums; ++s) sum += partial[s];
  return sum;
}

template <class To, class From>
KOKKOS_INLINE_FUNCTION void copy_row(To* to, const From* from, int size) {
  for (int i = 0; i < size; ++i) to[i] = static_cast<To>(from[i]);
}

/// Asks for a row that is wanted soon, on hosts: rows of a head lie a page apart, which hardware does not
/// foresee.
template <class T>
KOKKOS_INLINE_FUNCTION void prefetch_row(const T* row, int size) {
  if constexpr (host_accessible) {
    constexpr int line = 64 / sizeof(T);
    for (int i = 0; i < size; i += line) __builtin_prefetch(row + i);
  }
}

/// The token whose rows to ask for at a token's turn.
KOKKOS_INLINE_FUNCTION std::int64_t token_ahead(std::int64_t token, int position, int length) {
  constexpr int ahead = 8;
  return token + (position + ahead < length ? ahead : 0);
}

/// Packs keys and values of a batch into contiguous rows. Heads lie side by side in qkv, a page apart from
/// one token to the next: products on them in place wait for memory.
template <class T>
struct PackKeysValues {
  HeadBatch batch;
  Matrix<Compute<T>> keys, values;  ///< [items * sequence_length, head_dim]
  ConstMatrix<T> qkv;

  KOKKOS_FUNCTION void operator()(std::int64_t row) const {
    const int length = batch.shape.sequence_length;
    const int item = row / length, position = row % length;
    const std::int64_t token = batch.token(item, position), next = token_ahead(token, position, length);
    prefetch_row(&qkv(next, batch.key_column(item)), batch.shape.head_dim);
    prefetch_row(&qkv(next, batch.value_column(item)), batch.shape.head_dim);
    copy_row(&keys(row, 0), &qkv(token, batch.key_column(item)), batch.shape.head_dim);
    copy_row(&values(row, 0), &qkv(token, batch.value_column(item)), batch.shape.head_dim);
  }
};

/// Packs queries of a batch, as above.
template <class T>
struct PackQueries {
  HeadBatch batch;
  Matrix<Compute<T>> queries;  ///< [items * sequence_length, head_dim]
  ConstMatrix<T> qkv;

  KOKKOS_FUNCTION void operator()(std::int64_t row) const {
    const int length = batch.shape.sequence_length;
    const int item = row / length, position = row % length;
    copy_row(&queries(row, 0), &qkv(batch.token(item, position), batch.query_column(item)),
             batch.shape.head_dim);
  }
};

/// Packs queries and output gradients of a batch and takes the dot products of output and gradient.
template <class T>
struct PackQueriesGradients {
  HeadBatch batch;
  Matrix<Compute<T>> queries, gradients;  ///< [items * sequence_length, head_dim]
  Matrix<Compute<T>> dots;                ///< [items, sequence_length]
  ConstMatrix<T> qkv, dout, out;

  KOKKOS_FUNCTION void operator()(std::int64_t row) const {
    const int length = batch.shape.sequence_length, head_dim = batch.shape.head_dim;
    const int item = row / length, position = row % length;
    const std::int64_t token = batch.token(item, position), next = token_ahead(token, position, length);
    const int column = batch.query_column(item);
    prefetch_row(&qkv(next, column), head_dim);
    prefetch_row(&dout(next, column), head_dim);
    prefetch_row(&out(next, column), head_dim);
    copy_row(&queries(row, 0), &qkv(token, column), head_dim);
    copy_row(&gradients(row, 0), &dout(token, column), head_dim);
    dots(item, position) = dot(&dout(token, column), &out(token, column), head_dim);
  }
};

/// Unpacks the gradients of keys and values of a batch.
template <class T>
struct UnpackKeysValues {
  HeadBatch batch;
  Matrix<T> dqkv;
  Matrix<Compute<T>> dkeys, dvalues;  ///< [items * sequence_length, head_dim]

  KOKKOS_FUNCTION void operator()(std::int64_t row) const {
    const int length = batch.shape.sequence_length;
    const int item = row / length, position = row % length;
    const std::int64_t token = batch.token(item, position);
    copy_row(&dqkv(token, batch.key_column(item)), &dkeys(row, 0), batch.shape.head_dim);
    copy_row(&dqkv(token, batch.value_column(item)), &dvalues(row, 0), batch.shape.head_dim);
  }
};

/// Transposes the tile's rows of a packed tensor; zero beyond the tile's end. One index is a block of four
/// queries.
template <class T>
struct TransposeTile {
  static constexpr int block = 4;
  Tile tile;
  Matrix<T> transposed;  ///< [items * head_dim, width]
  Matrix<T> packed;      ///< [items * sequence_length, head_dim]

  KOKKOS_FUNCTION void operator()(std::int64_t index) const {
    const int head_dim = tile.batch.shape.head_dim;
    const int blocks = tile.width / block;
    const int item = index / blocks, query = index % blocks * block;
    const int count = tile.end - tile.begin - query;
    const std::int64_t stride = transposed.stride(0);
    T* const to = &transposed(std::int64_t(item) * head_dim, query);
    const std::int64_t row = std::int64_t(item) * tile.batch.shape.sequence_length + tile.begin + query;
    int channel = 0;
    if (count >= block) {
      const T* const from = &packed(row, 0);
      for (; channel + block <= head_dim; channel += block) {
        for (int c = 0; c < block; ++c) {
          for (int q = 0; q < block; ++q) {
            to[(channel + c) * stride + q] = from[q * head_dim + channel + c];
          }
        }
      }
    }
    for (; channel < head_dim; ++channel) {
      for (int q = 0; q < block; ++q) {
        to[channel * stride + q] = q < count ? packed(row + q, channel) : T(0);
      }
    }
  }
};

/// Scores become exp(score - maximum), zero where the key follows the query; keeps the log-sum-exp and the
/// reciprocal of the sum, with which the output is scaled later: that touches head_dim values a query instead
/// of a value per key.
template <class T>
struct Softmax {
  Tile tile;
  Matrix<T> scores;       ///< [items * sequence_length, width]
  Matrix<T> reciprocals;  ///< [items, width]
  Matrix<T> lse;

  KOKKOS_FUNCTION void operator()(std::int64_t index) const {
    const int blocks = tile.width / lanes;
    const int item = index / blocks, first = index % blocks * lanes;
    const std::int64_t stride = scores.stride(0);
    T* const column = &scores(std::int64_t(item) * tile.batch.shape.sequence_length, first);
    // Of equal or unordered values the old one stays: a NaN score is not lost, its exponential is NaN.
    T maximum[lanes], sum[lanes];
    for (int l = 0; l < lanes; ++l) maximum[l] = column[l];
    for (int key = 1; key < tile.begin; ++key) {
      const T* const row = column + key * stride;
      for (int l = 0; l < lanes; ++l) maximum[l] = row[l] > maximum[l] ? row[l] : maximum[l];
    }
    for (int key = tile.begin; key < tile.end; ++key) {
      const T* const row = column + key * stride;
      const int diagonal = key - tile.begin - first;
      for (int l = 0; l < lanes; ++l) {
        maximum[l] = (l >= diagonal) & (row[l] > maximum[l]) ? row[l] : maximum[l];
      }
    }
    for (int l = 0; l < lanes; ++l) sum[l] = T(0);
    for (int key = 0; key < tile.begin; ++key) {
      T* const row = column + key * stride;
      for (int l = 0; l < lanes; ++l) {
        const T e = fast::exp(row[l] - maximum[l]);
        row[l] = e;
        sum[l] += e;
      }
    }
    for (int key = tile.begin; key < tile.end; ++key) {
      T* const row = column + key * stride;
      const int diagonal = key - tile.begin - first;
      for (int l = 0; l < lanes; ++l) {
        const T e = fast::exp(row[l] - maximum[l]);
        const T causal = l >= diagonal ? e : T(0);
        row[l] = causal;
        sum[l] += causal;
      }
    }
    for (int l = 0; l < lanes; ++l) {
      const int query = first + l;
      if (tile.begin + query >= tile.end) break;
      reciprocals(item, query) = T(1) / sum[l];
      lse(tile.batch.token(item, tile.begin + query), tile.batch.query_head(item)) =
          maximum[l] + math::log(sum[l]);
    }
  }
};

/// out rows of the tile *= reciprocals.
template <class T>
struct ScaleOutput {
  Tile tile;
  Matrix<T> out;
  Matrix<T> reciprocals;

  KOKKOS_FUNCTION void operator()(std::int64_t index) const {
    const int count = tile.end - tile.begin;
    const int item = index / count, query = index % count;
    T* const row = &out(tile.batch.token(item, tile.begin + query), tile.batch.query_column(item));
    const T reciprocal = reciprocals(item, query);
    for (int channel = 0; channel < tile.batch.shape.head_dim; ++channel) row[channel] *= reciprocal;
  }
};

/// Rows of the tile that were worked out in another precision take their place in `to`, multiplied by factors
/// unless empty.
template <class T>
struct StoreQueries {
  Tile tile;
  Matrix<T> to;
  Matrix<Compute<T>> from;     ///< [items * width, head_dim]
  Matrix<Compute<T>> factors;  ///< [items, width]

  KOKKOS_FUNCTION void operator()(std::int64_t index) const {
    const int count = tile.end - tile.begin, head_dim = tile.batch.shape.head_dim;
    const int item = index / count, query = index % count;
    T* const to_row = &to(tile.batch.token(item, tile.begin + query), tile.batch.query_column(item));
    const Compute<T>* const from_row = &from(std::int64_t(item) * tile.width + query, 0);
    const Compute<T> factor = factors.size() > 0 ? factors(item, query) : Compute<T>(1);
    for (int channel = 0; channel < head_dim; ++channel) {
      to_row[channel] = static_cast<T>(from_row[channel] * factor);
    }
  }
};

/// Scores become probabilities P, and dP becomes dS / scale = P (dP - D), D being `dots`.
template <class T>
struct SoftmaxBackward {
  Tile tile;
  Matrix<T> scores;     ///< [items * sequence_length, width]
  Matrix<T> gradients;  ///< the same shape
  Matrix<T> dots;       ///< [items, sequence_length]
  ConstMatrix<T> lse;

  KOKKOS_FUNCTION void operator()(std::int64_t index) const {
    const int blocks = tile.width / lanes;
    const int item = index / blocks, first = index % blocks * lanes;
    const std::int64_t stride = scores.stride(0);
    const std::int64_t top = std::int64_t(item) * tile.batch.shape.sequence_length;
    T* const score_column = &scores(top, first);
    T* const gradient_column = &gradients(top, first);
    T log_sum[lanes], dot[lanes];
    for (int l = 0; l < lanes; ++l) {
      const int position = tile.begin + first + l;
      const bool valid = position < tile.end;
      log_sum[l] = valid ? lse(tile.batch.token(item, position), tile.batch.query_head(item)) : T(0);
      dot[l] = valid ? dots(item, position) : T(0);
    }
    for (int key = 0; key < tile.begin; ++key) {
      T* const score = score_column + key * stride;
      T* const gradient = gradient_column + key * stride;
      for (int l = 0; l < lanes; ++l) {
        const T p = fast::exp(score[l] - log_sum[l]);
        score[l] = p;
        gradient[l] = p * (gradient[l] - dot[l]);
      }
    }
    for (int key = tile.begin; key < tile.end; ++key) {
      T* const score = score_column + key * stride;
      T* const gradient = gradient_column + key * stride;
      const int diagonal = key - tile.begin - first;
      for (int l = 0; l < lanes; ++l) {
        const T p = fast::exp(score[l] - log_sum[l]);
        const T ds = p * (gradient[l] - dot[l]);
        score[l] = l >= diagonal ? p : T(0);
        gradient[l] = l >= diagonal ? ds : T(0);
      }
    }
  }
};

}  // namespace strait::kernels::attention
