#include "strait/kernels/attention.hpp"

#include "strait/core/error.hpp"

#include "attention_tile.hpp"
#include "batched_matmul.hpp"
#include "workspace.hpp"

#include <algorithm>
#include <cmath>

namespace strait::kernels {

namespace {

using attention::HeadBatch;
using attention::Tile;

struct Tiling {
  int query_rows;  ///< queries of a tile
  int key_rows;    ///< keys of one matrix product
  int batch;       ///< items handled at once
};

Tiling choose_tiling(const ExecutionSpace& exec, const AttentionShape& shape) {
  const int items = shape.sequences * shape.kv_heads;
  if constexpr (host_accessible) {
    // One item per thread at a time keeps its scores in cache. OpenBLAS multiplies without packing up to
    // m n k = 10^6, 20 % faster than with packing at these shapes.
    constexpr int query_rows = attention::lanes;
    const int key_rows = 1'000'000 / (query_rows * shape.head_dim) / 16 * 16;
    return {query_rows, std::max(query_rows, key_rows), std::clamp<int>(exec.concurrency(), 1, items)};
  } else {
    // As many items as possible at once, within a quarter of a GiB of scores in float.
    constexpr int query_rows = 128;
    const int batch = (1 << 26) / query_rows / shape.sequence_length;
    return {query_rows, shape.sequence_length, std::clamp(batch, 1, items)};
  }
}

template <class Functor>
void launch(const ExecutionSpace& exec, const char* label, std::int64_t count, const Functor& functor) {
  Kokkos::parallel_for(label, RangePolicy(exec, 0, count), functor);
}

/// Calls `visit(batch)` for every batch of query heads; heads that share keys and values follow each other.
template <class Visit>
void for_each_batch(const AttentionShape& shape, const Tiling& tiling, const Visit& visit) {
  const int items = shape.sequences * shape.kv_heads;
  for (int item = 0; item < items; item += tiling.batch) {
    for (int member = 0; member < shape.heads / shape.kv_heads; ++member) {
      visit(HeadBatch{.shape = shape,
                      .first_item = item,
                      .items = std::min(tiling.batch, items - item),
                      .member = member});
    }
  }
}

/// Calls `visit(tile)` for every tile of a batch, the last queries first: they see every key, so that their
/// products can assign all key and value gradients, to which the others add.
template <class Visit>
void for_each_tile(const HeadBatch& batch, const Tiling& tiling, const Visit& visit) {
  const int length = batch.shape.sequence_length, height = tiling.query_rows;
  for (int begin = (length - 1) / height * height; begin >= 0; begin -= height) {
    visit(Tile{.batch = batch, .begin = begin, .end = std::min(begin + height, length), .width = height});
  }
}

/// Calls `visit(begin, end)` for the blocks of keys that a tile sees.
template <class Visit>
void for_each_key_block(const Tile& tile, const Tiling& tiling, const Visit& visit) {
  for (int begin = 0; begin < tile.end; begin += tiling.key_rows) {
    visit(begin, std::min(begin + tiling.key_rows, tile.end));
  }
}

/// Rows [begin, end) of an item of `tensor` [items * height, ...], as a function of the item.
template <class T>
auto item_rows(const Matrix<T>& tensor, int height, int begin, int end) {
  return [=](int item) {
    const std::int64_t top = std::int64_t(item) * height;
    return rows(tensor, top + begin, top + end);
  };
}

/// The tile's rows and query head of `tensor` [tokens, >= heads * head_dim], as a function of the item.
template <class T>
auto query_rows(const Matrix<T>& tensor, const Tile& tile) {
  return [=](int item) {
    const int column = tile.batch.query_column(item);
    return columns(rows(tensor, tile.batch.token(item, tile.begin), tile.batch.token(item, tile.end)), column,
                   column + tile.batch.shape.head_dim);
  };
}

/// Scratch for product_rows: nothing where they are the tensor's own.
template <class T>
Workspace<Compute<T>> tile_result(const Tiling& tiling, int head_dim) {
  return {"strait::attention::tile_result", is_narrow<T> ? tiling.batch * tiling.query_rows : 0, head_dim};
}

/// Where products of the tile's queries and head add up: the rows of `tensor` that they are for, or where
/// these would round each sum, rows of `result`, to be stored later.
template <class T>
auto product_rows(const Matrix<T>& tensor, const Matrix<Compute<T>>& result, const Tile& tile) {
  if constexpr (is_narrow<T>) {
    return item_rows(result, tile.width, 0, tile.end - tile.begin);
  } else {
    return query_rows(tensor, tile);
  }
}

/// Scores [keys, queries] of an item without the columns beyond the tile's end, as a function of the item.
template <class T>
auto valid_scores(const Matrix<T>& scores, const Tile& tile, int begin, int end) {
  return [=, all = item_rows(scores, tile.batch.shape.sequence_length, begin, end)](int item) {
    return columns(all(item), 0, tile.end - tile.begin);
  };
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

}  // namespace

template <class T>
void attention_forward(const ExecutionSpace& exec, const Matrix<T>& out, const Matrix<Compute<T>>& lse,
                       ConstMatrix<T> qkv, const AttentionShape& shape) {
  using C = Compute<T>;
  check<T>(shape, qkv, out, lse);
  const Tiling tiling = choose_tiling(exec, shape);
  const double scale = 1.0 / std::sqrt(double(shape.head_dim));
  const int length = shape.sequence_length, head_dim = shape.head_dim, width = tiling.query_rows;
  const std::int64_t packed_rows = std::int64_t(tiling.batch) * length;
  const Workspace<C> queries("strait::attention::queries", packed_rows, head_dim);
  const Workspace<C> keys("strait::attention::keys", packed_rows, head_dim);
  const Workspace<C> values("strait::attention::values", packed_rows, head_dim);
  const Workspace<C> transposed("strait::attention::transposed_queries", tiling.batch * head_dim, width);
  const Workspace<C> scores("strait::attention::scores", packed_rows, width);
  const Workspace<C> reciprocals("strait::attention::reciprocals", tiling.batch, width);
  const Workspace<C> result = tile_result<T>(tiling, head_dim);
  const Matrix<T> output = unmanaged(out);
  const Matrix<C> log_sums = unmanaged(lse);
  const ConstMatrix<T> input = unmanaged<const T>(qkv);

  for_each_batch(shape, tiling, [&](const HeadBatch& batch) {
    const std::int64_t positions = std::int64_t(batch.items) * length;
    if (batch.member == 0) {
      launch(exec, "strait::attention::pack_keys_values", positions,
             attention::PackKeysValues<T>{batch, keys.view, values.view, input});
    }
    launch(exec, "strait::attention::pack_queries", positions,
           attention::PackQueries<T>{batch, queries.view, input});
    for_each_tile(batch, tiling, [&](const Tile& tile) {
      launch(exec, "strait::attention::transpose", batch.items * width / attention::TransposeTile<C>::block,
             attention::TransposeTile<C>{tile, transposed.view, queries.view});
      for_each_key_block(tile, tiling, [&](int begin, int end) {
        batched_matmul<C>(exec, batch.items, item_rows(scores.view, length, begin, end),
                          item_rows(keys.view, length, begin, end),
                          item_rows(transposed.view, head_dim, 0, head_dim), {.alpha = scale});
      });
      launch(exec, "strait::attention::softmax", batch.items * width / attention::lanes,
             attention::Softmax<C>{tile, scores.view, reciprocals.view, log_sums});
      for_each_key_block(tile, tiling, [&](int begin, int end) {
        batched_matmul<C>(exec, batch.items, product_rows<T>(output, result.view, tile),
                          valid_scores(scores.view, tile, begin, end),
                          item_rows(values.view, length, begin, end),
                          {.a = Transpose::yes, .beta = begin == 0 ? 0.0 : 1.0});
      });
      const std::int64_t tile_rows = std::int64_t(batch.items) * (tile.end - tile.begin);
      if constexpr (is_narrow<T>) {
        launch(exec, "strait::attention::store_output", tile_rows,
               attention::StoreQueries<T>{tile, output, result.view, reciprocals.view});
      } else {
        launch(exec, "strait::attention::scale_output", tile_rows,
               attention::ScaleOutput<T>{tile, output, reciprocals.view});
      }
    });
  });
}

template <class T>
void attention_backward(const ExecutionSpace& exec, const Matrix<T>& dqkv, ConstMatrix<T> dout,
                        ConstMatrix<T> qkv, ConstMatrix<T> out, ConstMatrix<Compute<T>> lse,
                        const AttentionShape& shape) {
  using C = Compute<T>;
  check<T>(shape, qkv, out, lse);
  ensure(has_extents(dqkv, qkv.extent(0), qkv.extent(1)) && has_extents(dout, out.extent(0), out.extent(1)),
         "attention: extents of the gradients do not match");
  const Tiling tiling = choose_tiling(exec, shape);
  const double scale = 1.0 / std::sqrt(double(shape.head_dim));
  const int length = shape.sequence_length, head_dim = shape.head_dim, width = tiling.query_rows;
  const std::int64_t packed_rows = std::int64_t(tiling.batch) * length;
  const Workspace<C> queries("strait::attention::queries", packed_rows, head_dim);
  const Workspace<C> gradients("strait::attention::gradients", packed_rows, head_dim);
  const Workspace<C> keys("strait::attention::keys", packed_rows, head_dim);
  const Workspace<C> values("strait::attention::values", packed_rows, head_dim);
  const Workspace<C> dkeys("strait::attention::dkeys", packed_rows, head_dim);
  const Workspace<C> dvalues("strait::attention::dvalues", packed_rows, head_dim);
  const Workspace<C> transposed("strait::attention::transposed_queries", tiling.batch * head_dim, width);
  const Workspace<C> transposed_gradients("strait::attention::transposed_gradients", tiling.batch * head_dim,
                                          width);
  const Workspace<C> scores("strait::attention::scores", packed_rows, width);
  const Workspace<C> dscores("strait::attention::dscores", packed_rows, width);
  const Workspace<C> dots("strait::attention::dots", tiling.batch, length);
  const Matrix<T> dinput = unmanaged(dqkv);
  const Workspace<C> result = tile_result<T>(tiling, head_dim);
  const ConstMatrix<T> input = unmanaged<const T>(qkv), doutput = unmanaged<const T>(dout),
                       output = unmanaged<const T>(out);
  const ConstMatrix<C> log_sums = unmanaged<const C>(lse);

  for_each_batch(shape, tiling, [&](const HeadBatch& batch) {
    const std::int64_t positions = std::int64_t(batch.items) * length;
    if (batch.member == 0) {
      launch(exec, "strait::attention::pack_keys_values", positions,
             attention::PackKeysValues<T>{batch, keys.view, values.view, input});
    }
    launch(exec, "strait::attention::pack_queries_gradients", positions,
           attention::PackQueriesGradients<T>{batch, queries.view, gradients.view, dots.view, input, doutput,
                                              output});
    for_each_tile(batch, tiling, [&](const Tile& tile) {
      const std::int64_t blocks = batch.items * width / attention::TransposeTile<C>::block;
      launch(exec, "strait::attention::transpose", blocks,
             attention::TransposeTile<C>{tile, transposed.view, queries.view});
      launch(exec, "strait::attention::transpose", blocks,
             attention::TransposeTile<C>{tile, transposed_gradients.view, gradients.view});
      for_each_key_block(tile, tiling, [&](int begin, int end) {
        batched_matmul<C>(exec, batch.items, item_rows(scores.view, length, begin, end),
                          item_rows(keys.view, length, begin, end),
                          item_rows(transposed.view, head_dim, 0, head_dim), {.alpha = scale});
        batched_matmul<C>(exec, batch.items, item_rows(dscores.view, length, begin, end),
                          item_rows(values.view, length, begin, end),
                          item_rows(transposed_gradients.view, head_dim, 0, head_dim), {});
      });
      launch(exec, "strait::attention::softmax_backward", batch.items * width / attention::lanes,
             attention::SoftmaxBackward<C>{tile, scores.view, dscores.view, dots.view, log_sums});
      const double accumulate = batch.member == 0 && tile.end == length ? 0.0 : 1.0;
      for_each_key_block(tile, tiling, [&](int begin, int end) {
        const auto p = valid_scores(scores.view, tile, begin, end);
        const auto ds = valid_scores(dscores.view, tile, begin, end);
        batched_matmul<C>(exec, batch.items, item_rows(dvalues.view, length, begin, end), p,
                          item_rows(gradients.view, length, tile.begin, tile.end), {.beta = accumulate});
        batched_matmul<C>(exec, batch.items, item_rows(dkeys.view, length, begin, end), ds,
                          item_rows(queries.view, length, tile.begin, tile.end),
                          {.alpha = scale, .beta = accumulate});
        batched_matmul<C>(exec, batch.items, product_rows<T>(dinput, result.view, tile), ds,
                          item_rows(keys.view, length, begin, end),
                          {.a = Transpose::yes, .alpha = scale, .beta = begin == 0 ? 0.0 : 1.0});
      });
      if constexpr (is_narrow<T>) {
        launch(exec, "strait::attention::store_query_gradients",
               std::int64_t(batch.items) * (tile.end - tile.begin),
               attention::StoreQueries<T>{tile, dinput, result.view, {}});
      }
    });
    if (batch.member == shape.heads / shape.kv_heads - 1) {
      launch(exec, "strait::attention::unpack_keys_values", positions,
             attention::UnpackKeysValues<T>{batch, dinput, dkeys.view, dvalues.view});
    }
  });
}

#define STRAIT_INSTANTIATE(T)                                                                            \
  template void attention_forward<T>(const ExecutionSpace&, const Matrix<T>&, const Matrix<Compute<T>>&, \
                                     ConstMatrix<T>, const AttentionShape&);                             \
  template void attention_backward<T>(const ExecutionSpace&, const Matrix<T>&, ConstMatrix<T>,           \
                                      ConstMatrix<T>, ConstMatrix<T>, ConstMatrix<Compute<T>>,           \
                                      const AttentionShape&);
STRAIT_INSTANTIATE(float)
STRAIT_INSTANTIATE(double)
STRAIT_INSTANTIATE(bfloat16)
#undef STRAIT_INSTANTIATE

}  // namespace strait::kernels
