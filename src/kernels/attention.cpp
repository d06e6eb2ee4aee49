#include "strait/kernels/attention.hpp"

#include "strait/core/error.hpp"

#include "attention_operands.hpp"
#include "batched_matmul.hpp"
#include "workspace.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>

namespace strait::kernels {

namespace {

using attention::AddressTable;
using attention::HeadBatch;
using attention::Heads;
using attention::QueryHeads;
using attention::QuerySums;
using attention::RowBlocks;
using attention::RunningSoftmax;
using attention::Scores;
using attention::store_rows;
using attention::Tile;
using attention::Tiling;

constexpr int rounded_up(int value, int multiple) { return (value + multiple - 1) / multiple * multiple; }

Tiling choose_tiling([[maybe_unused]] const ExecutionSpace& exec, const AttentionShape& shape,
                     const AttentionTiling& asked) {
  const int items = shape.sequences * shape.kv_heads, length = shape.sequence_length;
  const auto choice = [](int wanted, int best) { return wanted > 0 ? wanted : best; };
  Tiling tiling;
  if constexpr (host_accessible) {
    // One item per thread at a time keeps its scores in cache. OpenBLAS multiplies without packing up to
    // m n k = 10^6, 20 % faster than with packing at these shapes.
    tiling.query_rows = choice(asked.query_rows, attention::block_queries);
    const int best = 1'000'000 / (tiling.query_rows * shape.head_dim) / 16 * 16;
    tiling.key_rows = choice(asked.key_rows, std::max(attention::block_queries, best));
    tiling.batch = choice(asked.batch, exec.concurrency());
  } else {
    // 64 MiB of scores in float are about what the cache of a large device holds. Few heads get longer tiles
    // rather than more launches; what tiles compute above the diagonal goes with the queries alone.
    constexpr int scores = 1 << 24, rows = 256;
    tiling.query_rows = choice(asked.query_rows, rows);
    const int most = std::max(1, scores / rows / tiling.query_rows);
    const int best = scores / tiling.query_rows / std::min(items, most);
    tiling.key_rows = choice(asked.key_rows, std::max(rows, best / rows * rows));
    const int batch = std::clamp(scores / tiling.query_rows / tiling.key_rows, 1, items);
    const int batches = (items + batch - 1) / batch;
    tiling.batch = choice(asked.batch, (items + batches - 1) / batches);
  }
  tiling.key_rows = std::min(tiling.key_rows, length);
  tiling.batch = std::clamp(tiling.batch, 1, items);
  tiling.width = rounded_up(tiling.query_rows, attention::block_queries);
  return tiling;
}

/// Whether each thread of a host may multiply Elements on its own: bfloat16 takes scratch that they share.
template <class Element>
inline constexpr bool threads_multiply = host_accessible ? std::is_floating_point_v<Element> : false;

/// Calls `visit(exec, batch)` for every batch of query heads; heads that share keys and values follow each
/// other. If `threads` and a batch has several items, threads of a host make all passes over one item each,
/// the next that nobody has begun, on a HostItem as `exec`: they meet once and not after every pass, where
/// one that lost its core for a moment would hold the others up.
template <bool threads, class Visit>
void for_each_batch(const ExecutionSpace& exec, const AttentionShape& shape, const Tiling& tiling,
                    const Visit& visit) {
  const int items = shape.sequences * shape.kv_heads;
  const auto visit_heads = [&](const auto& where, int first_item, int count) {
    for (int member = 0; member < shape.heads / shape.kv_heads; ++member) {
      visit(where, HeadBatch{.first_item = first_item, .items = count, .member = member});
    }
  };
  if constexpr (threads) {
    if (tiling.batch > 1 && exec.concurrency() > 1) {
      std::atomic<int> next = 0;
      const auto work = [&](std::int64_t slot) {
        const HostItem own{static_cast<int>(slot), tiling.batch};
        for (int item = next++; item < items; item = next++) visit_heads(own, item - own.item, tiling.batch);
      };
      Kokkos::parallel_for("strait::attention::items", RangePolicy(exec, 0, tiling.batch), work);
      return;
    }
  }
  for (int item = 0; item < items; item += tiling.batch) {
    visit_heads(exec, item, std::min(tiling.batch, items - item));
  }
}

/// Calls `visit(tile)` for every tile on or below the diagonal. The last queries come first: they see every
/// key, so that their products can assign all key and value gradients, to which the others add. Their keys
/// follow from the first to the last.
template <class Visit>
void for_each_tile(int length, const Tiling& tiling, const Visit& visit) {
  const int height = tiling.query_rows;
  for (int begin = (length - 1) / height * height; begin >= 0; begin -= height) {
    const int end = std::min(begin + height, length);
    for (int key = 0; key < end; key += tiling.key_rows) {
      visit(Tile{begin, end, key, std::min(key + tiling.key_rows, end)});
    }
  }
}

template <class View>
bool has_extents(const View& tensor, std::int64_t row_count, std::int64_t column_count) {
  return std::int64_t(tensor.extent(0)) == row_count && std::int64_t(tensor.extent(1)) == column_count;
}

template <class T>
void check(const AttentionShape& shape, const ConstMatrix<T>& qkv, const ConstMatrix<T>& out,
           const ConstMatrix<Compute<T>>& lse) {
  ensure(shape.sequences > 0 && shape.sequence_length > 0 && shape.head_dim > 0 && shape.kv_heads > 0 &&
             shape.heads > 0 && shape.heads % shape.kv_heads == 0,
         "attention: sizes must be positive and kv_heads must divide heads");
  const std::int64_t tokens = std::int64_t(shape.sequences) * shape.sequence_length;
  ensure(has_extents(qkv, tokens, (shape.heads + 2 * shape.kv_heads) * shape.head_dim),
         "attention: extents of qkv do not match");
  ensure(has_extents(out, tokens, shape.heads * shape.head_dim), "attention: extents of out do not match");
  ensure(has_extents(lse, tokens, shape.heads), "attention: extents of lse do not match");
}

template <class T, bool in_place>
void forward(const ExecutionSpace& exec, const Matrix<T>& out, const Matrix<Compute<T>>& lse,
             const Matrix<const T>& qkv, const AttentionShape& shape, const Tiling& tiling) {
  using C = Compute<T>;
  using Element = attention::Factor<T, in_place>;
  const int length = shape.sequence_length, head_dim = shape.head_dim;
  const int query_rows = tiling.query_rows, key_rows = tiling.key_rows;
  const int keys_column = shape.heads * head_dim, values_column = keys_column + shape.kv_heads * head_dim;
  const double scale = 1.0 / std::sqrt(double(head_dim));
  AddressTable table(shape, tiling.batch);
  const QueryHeads<T, in_place> queries(table.query_heads(qkv, head_dim, query_rows), table, shape, tiling,
                                        "strait::attention::queries");
  const Heads<T, in_place> keys(table.kv_heads(qkv, keys_column, key_rows), table, shape, tiling, key_rows,
                                "strait::attention::keys");
  const Heads<T, in_place> values(table.kv_heads(qkv, values_column, key_rows), table, shape, tiling,
                                  key_rows, "strait::attention::values");
  const Scores<C, Element> scores(table, tiling, "strait::attention::scores");
  const QuerySums<T> output(table.query_heads(out, head_dim, query_rows), table, shape, tiling);
  const RowBlocks<C> log_sums = table.query_heads(lse, 1, query_rows);
  const Workspace<C> state("strait::attention::softmax_state", 4 * tiling.batch, tiling.width);
  const auto part = [&](int index) { return &state.view(index * tiling.batch, 0); };
  const RunningSoftmax<C> running{part(0), part(1), part(2), part(3), tiling.width};

  table.complete();
  constexpr bool threads = threads_multiply<Element>;
  for_each_batch<threads>(exec, shape, tiling, [&](const auto& exec, const HeadBatch& batch) {
    const int items = batch.items;
    table.fill(exec, batch);
    if (batch.member == 0) {
      keys.pack(exec, batch);
      values.pack(exec, batch);
    }
    queries.pack(exec, batch);
    MatrixBatch<const Element> factor;
    for_each_tile(length, tiling, [&](const Tile& tile) {
      if (tile.first()) factor = queries.factor(exec, batch, tile.begin, tile.end);
      const auto probabilities = scores.factors(tile);
      batched_matmul<C, Element>(exec, items, scores.scores(tile, queries.ahead),
                                 keys.rows(tile.first_key, tile.last_key), factor,
                                 {.b = queries.transpose, .alpha = scale});
      for_each_query_block(
          "strait::attention::softmax", exec, items, tile.queries(),
          attention::Softmax<C, Element>{tile, tile.first(), tile.last(), scores.scores(tile, true),
                                         probabilities, log_sums.rows(tile.begin, tile.end), running});
      const auto sums = output.sums(tile);
      if (!tile.first()) {
        store_rows<C, C>(exec, "strait::attention::rescale", items, sums, sums, running.factors,
                         tiling.width);
      }
      batched_matmul<C, Element>(exec, items, sums, probabilities, values.rows(tile.first_key, tile.last_key),
                                 {.a = Transpose::yes, .beta = tile.first() ? 0.0 : 1.0});
      if (tile.last()) {
        output.store(exec, "strait::attention::store_output", items, tile, running.reciprocals, tiling.width);
      }
    });
  });
}

template <class T, bool in_place>
void backward(const ExecutionSpace& exec, const Matrix<T>& dqkv, const Matrix<const T>& dout,
              const Matrix<const T>& qkv, const Matrix<const T>& out, const Matrix<const Compute<T>>& lse,
              const AttentionShape& shape, const Tiling& tiling) {
  using C = Compute<T>;
  using Element = attention::Factor<T, in_place>;
  const int length = shape.sequence_length, head_dim = shape.head_dim;
  const int query_rows = tiling.query_rows, key_rows = tiling.key_rows;
  const int keys_column = shape.heads * head_dim, values_column = keys_column + shape.kv_heads * head_dim;
  const double scale = 1.0 / std::sqrt(double(head_dim));
  const std::int64_t packed_rows = std::int64_t(tiling.batch) * length;
  AddressTable table(shape, tiling.batch);
  const QueryHeads<T, in_place> queries(table.query_heads(qkv, head_dim, query_rows), table, shape, tiling,
                                        "strait::attention::queries");
  const QueryHeads<T, in_place> gradients(table.query_heads(dout, head_dim, query_rows), table, shape, tiling,
                                          "strait::attention::gradients");
  const Heads<T, in_place> keys(table.kv_heads(qkv, keys_column, key_rows), table, shape, tiling, key_rows,
                                "strait::attention::keys");
  const Heads<T, in_place> values(table.kv_heads(qkv, values_column, key_rows), table, shape, tiling,
                                  key_rows, "strait::attention::values");
  const Scores<C, Element> scores(table, tiling, "strait::attention::scores");
  const Scores<C, Element> dscores(table, tiling, "strait::attention::dscores");
  const RowBlocks<const T> output = table.query_heads(out, head_dim, query_rows);
  const RowBlocks<const C> log_sums = table.query_heads(lse, 1, query_rows);
  const QuerySums<T> dqueries(table.query_heads(dqkv, head_dim, query_rows), table, shape, tiling);
  const Workspace<C> dkeys_memory("strait::attention::dkeys", packed_rows, head_dim);
  const Workspace<C> dvalues_memory("strait::attention::dvalues", packed_rows, head_dim);
  const RowBlocks<C> dkeys = table.of_batch(dkeys_memory.view, length, key_rows);
  const RowBlocks<C> dvalues = table.of_batch(dvalues_memory.view, length, key_rows);
  const RowBlocks<T> dkey_heads = table.kv_heads(dqkv, keys_column, key_rows);
  const RowBlocks<T> dvalue_heads = table.kv_heads(dqkv, values_column, key_rows);
  const Workspace<C> dots("strait::attention::dots", tiling.batch, tiling.width);

  table.complete();
  constexpr bool threads = threads_multiply<Element>;
  for_each_batch<threads>(exec, shape, tiling, [&](const auto& exec, const HeadBatch& batch) {
    const int items = batch.items;
    table.fill(exec, batch);
    if (batch.member == 0) {
      keys.pack(exec, batch);
      values.pack(exec, batch);
    }
    queries.pack(exec, batch);
    gradients.pack(exec, batch);
    MatrixBatch<const Element> query_factor, gradient_factor;
    for_each_tile(length, tiling, [&](const Tile& tile) {
      if (tile.first()) {
        query_factor = queries.factor(exec, batch, tile.begin, tile.end);
        gradient_factor = gradients.factor(exec, batch, tile.begin, tile.end);
      }
      const auto key = keys.rows(tile.first_key, tile.last_key);
      const auto p = scores.factors(tile), ds = dscores.factors(tile);
      const auto dout_rows = gradients.rows(tile.begin, tile.end);
      batched_matmul<C, Element>(exec, items, scores.scores(tile, queries.ahead), key, query_factor,
                                 {.b = queries.transpose, .alpha = scale});
      batched_matmul<C, Element>(exec, items, dscores.scores(tile, gradients.ahead),
                                 values.rows(tile.first_key, tile.last_key), gradient_factor,
                                 {.b = gradients.transpose});
      for_each_query_block("strait::attention::softmax_backward", exec, items, tile.queries(),
                           attention::SoftmaxBackward<C, Element, T, Element>{
                               tile, tile.first(), scores.scores(tile, true), dscores.scores(tile, true), p,
                               ds, output.rows(tile.begin, tile.end), dout_rows,
                               log_sums.rows(tile.begin, tile.end), dots.view.data(), tiling.width});
      const double accumulate = batch.member == 0 && tile.end == length ? 0.0 : 1.0;
      batched_matmul<C, Element>(exec, items, dvalues.rows(tile.first_key, tile.last_key), p, dout_rows,
                                 {.beta = accumulate});
      batched_matmul<C, Element>(exec, items, dkeys.rows(tile.first_key, tile.last_key), ds,
                                 queries.rows(tile.begin, tile.end), {.alpha = scale, .beta = accumulate});
      batched_matmul<C, Element>(exec, items, dqueries.sums(tile), ds, key,
                                 {.a = Transpose::yes, .alpha = scale, .beta = tile.first() ? 0.0 : 1.0});
      if (tile.last()) dqueries.store(exec, "strait::attention::store_query_gradients", items, tile);
    });
    if (batch.member == shape.heads / shape.kv_heads - 1) {
      store_rows<T, C>(exec, "strait::attention::store_key_gradients", items, dkey_heads.rows(0, length),
                       dkeys.rows(0, length));
      store_rows<T, C>(exec, "strait::attention::store_value_gradients", items, dvalue_heads.rows(0, length),
                       dvalues.rows(0, length));
    }
  });
}

/// Whether products may read the heads of a tensor in place. Tensor cores take 16 bytes at once: cuBLAS,
/// which sees no addresses of batches, asks for factors of bfloat16 that begin at multiples of them.
template <class T>
bool readable_in_place(const Matrix<const T>& tensor, const AttentionShape& shape) {
  constexpr std::size_t grain = host_accessible || !is_narrow<T> ? sizeof(T) : 16;
  const std::size_t stride = tensor.extent(0) > 1 ? tensor.stride(0) : 0;
  return reinterpret_cast<std::uintptr_t>(tensor.data()) % grain == 0 && stride * sizeof(T) % grain == 0 &&
         shape.head_dim * sizeof(T) % grain == 0;
}

}  // namespace

template <class T>
void attention_forward(const ExecutionSpace& exec, const Matrix<T>& out, const Matrix<Compute<T>>& lse,
                       ConstMatrix<T> qkv, const AttentionShape& shape, const AttentionTiling& tiling) {
  check<T>(shape, qkv, out, lse);
  const Tiling chosen = choose_tiling(exec, shape, tiling);
  const bool in_place = tiling.in_place && readable_in_place<T>(qkv, shape);
  (in_place ? forward<T, true> : forward<T, false>)(exec, unmanaged(out), unmanaged(lse),
                                                    unmanaged<const T>(qkv), shape, chosen);
}

template <class T>
void attention_backward(const ExecutionSpace& exec, const Matrix<T>& dqkv, ConstMatrix<T> dout,
                        ConstMatrix<T> qkv, ConstMatrix<T> out, ConstMatrix<Compute<T>> lse,
                        const AttentionShape& shape, const AttentionTiling& tiling) {
  check<T>(shape, qkv, out, lse);
  ensure(has_extents(dqkv, qkv.extent(0), qkv.extent(1)) && has_extents(dout, out.extent(0), out.extent(1)),
         "attention: extents of the gradients do not match");
  const Tiling chosen = choose_tiling(exec, shape, tiling);
  const bool in_place =
      tiling.in_place && readable_in_place<T>(qkv, shape) && readable_in_place<T>(dout, shape);
  (in_place ? backward<T, true> : backward<T, false>)(exec, unmanaged(dqkv), unmanaged<const T>(dout),
                                                      unmanaged<const T>(qkv), unmanaged<const T>(out),
                                                      unmanaged<const Compute<T>>(lse), shape, chosen);
}

#define STRAIT_INSTANTIATE(T)                                                                            \
  template void attention_forward<T>(const ExecutionSpace&, const Matrix<T>&, const Matrix<Compute<T>>&, \
                                     ConstMatrix<T>, const AttentionShape&, const AttentionTiling&);     \
  template void attention_backward<T>(const ExecutionSpace&, const Matrix<T>&, ConstMatrix<T>,           \
                                      ConstMatrix<T>, ConstMatrix<T>, ConstMatrix<Compute<T>>,           \
                                      const AttentionShape&, const AttentionTiling&);
STRAIT_INSTANTIATE(float)
STRAIT_INSTANTIATE(double)
STRAIT_INSTANTIATE(bfloat16)
#undef STRAIT_INSTANTIATE

}  // namespace strait::kernels
