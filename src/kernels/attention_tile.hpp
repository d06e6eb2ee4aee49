#pragma once
// Device passes over one tile of causal attention: a block of queries against a block of keys.
//
// A tile's scores are kept transposed, [keys, queries]: queries lie side by side, so that the softmax over
// keys vectorises on a host and coalesces on an accelerator, and every matrix product of the forward and of
// the backward takes the layouts that BLAS multiplies fastest. Scores and statistics are Compute<T>; the
// probabilities, and the gradients of the scores, are what the next products take.

#include "strait/core/bits16.hpp"
#include "strait/kernels/fast_math.hpp"

#include "attention_queries.hpp"
#include "matrix_batch.hpp"

namespace strait::kernels::attention {

/// The queries [begin, end) against the keys [first_key, last_key), last_key <= end.
struct Tile {
  int begin, end;
  int first_key, last_key;

  KOKKOS_FUNCTION int queries() const { return end - begin; }
  KOKKOS_FUNCTION int keys() const { return last_key - first_key; }
  /// Keys from the first on that all of the queries see.
  KOKKOS_FUNCTION int seen_by_all() const {
    const int seen = begin - first_key;
    return seen < 0 ? 0 : seen < keys() ? seen : keys();
  }
  /// Which of the queries is the first to see a key.
  KOKKOS_FUNCTION int diagonal(int key) const { return first_key + key - begin; }
  bool first() const { return first_key == 0; }
  bool last() const { return last_key == end; }
};

/// Asks for a row that is wanted soon, on hosts: rows of a head lie a page apart, which hardware does not
/// foresee.
template <class T>
KOKKOS_INLINE_FUNCTION void prefetch_row(const T* row, int size) {
  if constexpr (host_accessible) {
    constexpr int line = 64 / sizeof(T);
    for (int i = 0; i < size; i += line) __builtin_prefetch(row + i);
  }
}

/// Rows are copied into another precision or place, multiplied by the item's factors unless there are none.
template <class To, class From>
struct StoreRows {
  static constexpr int block = host_accessible ? 8 : 32;
  MatrixBatch<To> to;
  MatrixBatch<const From> from;
  const Compute<From>* factors;  ///< [items, factor_stride], one for each row
  int factor_stride;

  KOKKOS_FUNCTION void operator()(const Row& row, std::int64_t index) const {
    const int blocks = (to.row_count + block - 1) / block;
    const int item = static_cast<int>(index / blocks), first = static_cast<int>(index % blocks) * block;
    const int left = to.row_count - first, count = left < block ? left : block;
    To* const target = to.row(item, first);
    const From* const source = from.row(item, first);
    const std::int64_t target_stride = to.row_stride, source_stride = from.row_stride;
    for (int ahead = block; ahead < 2 * block && ahead < left; ++ahead) {
      prefetch_row(source + ahead * source_stride, to.column_count);
    }
    if (factors == nullptr) {
      row_for(row, count, to.column_count, [&](std::int64_t i, std::int64_t j) {
        target[i * target_stride + j] = static_cast<To>(source[i * source_stride + j]);
      });
    } else {
      const Compute<From>* const factor = factors + std::int64_t(item) * factor_stride + first;
      row_for(row, count, to.column_count, [&](std::int64_t i, std::int64_t j) {
        target[i * target_stride + j] = static_cast<To>(source[i * source_stride + j] * factor[i]);
      });
    }
  }
};

/// Transposes matrices, zero from their last row on. One index is a block of four rows of an item.
template <class T>
struct TransposeRows {
  static constexpr int block = 4;
  MatrixBatch<T> to;
  MatrixBatch<const T> from;

  KOKKOS_FUNCTION void operator()(std::int64_t index) const {
    const int blocks = to.column_count / block;
    const int item = index / blocks, first = index % blocks * block;
    const int count = from.row_count - first;
    const std::int64_t to_stride = to.row_stride, from_stride = from.row_stride;
    T* const target = to.row(item, 0) + first;
    const T* const source = from.row(item, first);
    int channel = 0;
    if (count >= block) {
      for (; channel + block <= from.column_count; channel += block) {
        for (int c = 0; c < block; ++c) {
          for (int q = 0; q < block; ++q) {
            target[(channel + c) * to_stride + q] = source[q * from_stride + channel + c];
          }
        }
      }
    }
    for (; channel < from.column_count; ++channel) {
      for (int q = 0; q < block; ++q) {
        target[channel * to_stride + q] = q < count ? source[q * from_stride + channel] : T(0);
      }
    }
  }
};

/// What the softmax of a block of keys passes on to that of the next, [items, width] each (Milakov &
/// Gimelshein 2018).
template <class T>
struct RunningSoftmax {
  T* maxima;       ///< of the scores so far
  T* sums;         ///< of exp(score - maximum)
  T* factors;      ///< of the sums and outputs before this block: exp(maximum before - maximum)
  T* reciprocals;  ///< of the sums, after the last block
  int width;
};

/// Scores become exp(score - maximum), zero where the key follows the query. With the reciprocal of the sum
/// the output is scaled later: that touches head_dim values a query instead of a value per key.
template <class T, class Operand>
struct Softmax {
  Tile tile;
  bool first, last;                    ///< blocks of keys of these queries
  MatrixBatch<const T> scores;         ///< [keys, queries]
  MatrixBatch<Operand> probabilities;  ///< may lie where the scores do
  MatrixBatch<T> lse;                  ///< [queries, 1]
  RunningSoftmax<T> running;

  KOKKOS_FUNCTION void operator()(const Queries& queries, int item, int block) const {
    constexpr int lanes = Queries::lanes, slices = Queries::slices;
    const int query = block + queries.lane(), keys = tile.keys(), full = tile.seen_by_all();
    const std::int64_t stride = scores.row_stride, p_stride = probabilities.row_stride;
    const T* const column = scores.row(item, 0) + query;
    Operand* const p_column = probabilities.row(item, 0) + query;
    const std::int64_t state = std::int64_t(item) * running.width + query;
    // Of equal or unordered values the old one stays: a NaN score is not lost, its exponential is NaN.
    T before[lanes], maximum[lanes], sum[lanes];
    for (int l = 0; l < lanes; ++l) {
      before[l] = first ? column[l] : running.maxima[state + l];
      maximum[l] = before[l];
      sum[l] = T(0);
    }
    for (int key = queries.slice(); key < full; key += slices) {
      const T* const row = column + key * stride;
      for (int l = 0; l < lanes; ++l) maximum[l] = row[l] > maximum[l] ? row[l] : maximum[l];
    }
    for (int key = full + queries.slice(); key < keys; key += slices) {
      const T* const row = column + key * stride;
      const int diagonal = tile.diagonal(key) - query;
      for (int l = 0; l < lanes; ++l) {
        maximum[l] = (l >= diagonal) & (row[l] > maximum[l]) ? row[l] : maximum[l];
      }
    }
    queries.combine(maximum, [](T a, T b) { return b > a ? b : a; });
    for (int key = queries.slice(); key < full; key += slices) {
      const T* const row = column + key * stride;
      Operand* const p_row = p_column + key * p_stride;
      STRAIT_INDEPENDENT_ITERATIONS
      for (int l = 0; l < lanes; ++l) {
        const T e = fast::exp(row[l] - maximum[l]);
        p_row[l] = static_cast<Operand>(e);
        sum[l] += e;
      }
    }
    for (int key = full + queries.slice(); key < keys; key += slices) {
      const T* const row = column + key * stride;
      Operand* const p_row = p_column + key * p_stride;
      const int diagonal = tile.diagonal(key) - query;
      STRAIT_INDEPENDENT_ITERATIONS
      for (int l = 0; l < lanes; ++l) {
        const T e = fast::exp(row[l] - maximum[l]);
        const T causal = l >= diagonal ? e : T(0);
        p_row[l] = static_cast<Operand>(causal);
        sum[l] += causal;
      }
    }
    queries.combine(sum, [](T a, T b) { return a + b; });
    if (queries.slice() != 0) return;
    for (int l = 0; l < lanes; ++l) {
      if (!first) {
        const T factor = fast::exp(before[l] - maximum[l]);
        running.factors[state + l] = factor;
        sum[l] += factor * running.sums[state + l];
      }
      running.maxima[state + l] = maximum[l];
      running.sums[state + l] = sum[l];
    }
    if (!last) return;
    for (int l = 0; l < lanes && query + l < tile.queries(); ++l) {
      running.reciprocals[state + l] = T(1) / sum[l];
      *lse.row(item, query + l) = maximum[l] + math::log(sum[l]);
    }
  }
};

/// From scores and dP the probabilities P and dS / scale = P (dP - D), D being the product of a query's
/// output with its gradient.
template <class T, class Operand, class Out, class Gradient>
struct SoftmaxBackward {
  Tile tile;
  bool first;                              ///< block of keys of these queries
  MatrixBatch<const T> scores, gradients;  ///< [keys, queries]
  MatrixBatch<Operand> probabilities;      ///< may lie where the scores do
  MatrixBatch<Operand> score_gradients;    ///< may lie where `gradients` do
  MatrixBatch<const Out> out;              ///< [queries, head_dim]
  MatrixBatch<const Gradient> dout;
  MatrixBatch<const T> lse;  ///< [queries, 1]
  T* dots;                   ///< D, [items, width]
  int width;

  KOKKOS_FUNCTION void operator()(const Queries& queries, int item, int block) const {
    constexpr int lanes = Queries::lanes, slices = Queries::slices;
    const int query = block + queries.lane(), keys = tile.keys(), full = tile.seen_by_all();
    const std::int64_t stride = scores.row_stride, p_stride = probabilities.row_stride;
    const T* const score_column = scores.row(item, 0) + query;
    const T* const gradient_column = gradients.row(item, 0) + query;
    Operand* const p_column = probabilities.row(item, 0) + query;
    Operand* const ds_column = score_gradients.row(item, 0) + query;
    const std::int64_t state = std::int64_t(item) * width + query;
    T log_sum[lanes], dot[lanes];
    for (int l = 0; l < lanes; ++l)
      log_sum[l] = query + l < tile.queries() ? *lse.row(item, query + l) : T(0);
    if (first) {
      const Out* const out_rows = out.row(item, block);
      const Gradient* const dout_rows = dout.row(item, block);
      queries.row_sums(dot, tile.queries() - block, out.column_count, [&](std::int64_t i, std::int64_t j) {
        return out_rows[i * out.row_stride + j] * dout_rows[i * dout.row_stride + j];
      });
      if (queries.slice() == 0) {
        for (int l = 0; l < lanes; ++l) dots[state + l] = dot[l];
      }
    } else {
      for (int l = 0; l < lanes; ++l) dot[l] = dots[state + l];
    }
    for (int key = queries.slice(); key < full; key += slices) {
      const T* const score = score_column + key * stride;
      const T* const gradient = gradient_column + key * stride;
      Operand* const p_row = p_column + key * p_stride;
      Operand* const ds_row = ds_column + key * p_stride;
      STRAIT_INDEPENDENT_ITERATIONS
      for (int l = 0; l < lanes; ++l) {
        const T p = fast::exp(score[l] - log_sum[l]);
        const T ds = p * (gradient[l] - dot[l]);
        p_row[l] = static_cast<Operand>(p);
        ds_row[l] = static_cast<Operand>(ds);
      }
    }
    for (int key = full + queries.slice(); key < keys; key += slices) {
      const T* const score = score_column + key * stride;
      const T* const gradient = gradient_column + key * stride;
      Operand* const p_row = p_column + key * p_stride;
      Operand* const ds_row = ds_column + key * p_stride;
      const int diagonal = tile.diagonal(key) - query;
      STRAIT_INDEPENDENT_ITERATIONS
      for (int l = 0; l < lanes; ++l) {
        const T p = fast::exp(score[l] - log_sum[l]);
        const T ds = p * (gradient[l] - dot[l]);
        p_row[l] = static_cast<Operand>(l >= diagonal ? p : T(0));
        ds_row[l] = static_cast<Operand>(l >= diagonal ? ds : T(0));
      }
    }
  }
};

}  // namespace strait::kernels::attention
