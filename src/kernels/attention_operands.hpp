#pragma once
// What the products of attention read and write: heads where they lie in their tensors, or packed.

#include "strait/kernels/matmul.hpp"

#include "attention_addresses.hpp"
#include "attention_tile.hpp"

namespace strait::kernels::attention {

/// How the work is cut; see AttentionTiling.
struct Tiling {
  int query_rows;
  int key_rows;
  int batch;  ///< items at once
  int width;  ///< columns of a tile's scores: query_rows, rounded up to whole blocks
};

template <class Functor>
void launch(const ExecutionSpace& exec, const char* label, std::int64_t count, const Functor& functor) {
  Kokkos::parallel_for(label, RangePolicy(exec, 0, count), functor);
}

template <class Functor>
void launch(const HostItem& own, const char*, std::int64_t count, const Functor& functor) {
  own.share(count, functor);
}

/// to = from for `items` matrices of one shape, times a factor of each row where there are any.
template <class To, class From, class Exec>
void store_rows(const Exec& exec, const char* label, int items, const MatrixBatch<To>& to,
                const MatrixBatch<const From>& from, const Compute<From>* factors = nullptr,
                int factor_stride = 0) {
  constexpr int block = StoreRows<To, From>::block;
  const std::int64_t blocks = (to.row_count + block - 1) / block;
  for_each_row(label, exec, items * blocks, StoreRows<To, From>{to, from, factors, factor_stride});
}

/// In what products take numbers of type T.
template <class T, bool in_place>
using Factor = std::conditional_t<in_place, T, Compute<T>>;

/// Heads as factors of products. Heads lie side by side in the rows of a tensor, on hosts a page apart from
/// one token to the next: products on them in place would wait for memory there.
template <class T, bool in_place>
class Heads {
 public:
  using Element = Factor<T, in_place>;

  /// `heads` cut into blocks of `height` rows.
  Heads(const RowBlocks<const T>& heads, AddressTable& table, const AttentionShape& shape,
        const Tiling& tiling, int height, const char* label)
      : length_(shape.sequence_length),
        label_(label),
        heads_(heads),
        memory_(label, in_place ? 0 : std::int64_t(tiling.batch) * length_, shape.head_dim) {
    if constexpr (!in_place) packed_ = table.of_batch(memory_.view, length_, height);
  }

  /// To be called for each batch.
  template <class Exec>
  void pack(const Exec& exec, const HeadBatch& batch) const {
    if constexpr (!in_place) {
      store_rows<Element, T>(exec, label_, batch.items, packed_.rows(0, length_), heads_.rows(0, length_));
    }
  }

  MatrixBatch<const Element> rows(int begin, int end) const {
    if constexpr (in_place) {
      return heads_.rows(begin, end);
    } else {
      return packed_.rows(begin, end);
    }
  }

 private:
  int length_;
  const char* label_;
  RowBlocks<const T> heads_;
  Workspace<Element> memory_;
  RowBlocks<Element> packed_;
};

/// Heads of queries or of their gradients, which products that yield scores take transposed: on hosts packed
/// ones are transposed ahead, which BLAS multiplies faster.
template <class T, bool in_place>
class QueryHeads : public Heads<T, in_place> {
 public:
  using Element = Factor<T, in_place>;
  /// With it products yield all columns of the scores, beyond the queries of a tile too.
  static constexpr bool ahead = host_accessible && !in_place;
  static constexpr Transpose transpose = ahead ? Transpose::no : Transpose::yes;

  QueryHeads(const RowBlocks<const T>& heads, AddressTable& table, const AttentionShape& shape,
             const Tiling& tiling, const char* label)
      : Heads<T, in_place>(heads, table, shape, tiling, tiling.query_rows, label),
        head_dim_(shape.head_dim),
        memory_("strait::attention::transposed", ahead ? std::int64_t(tiling.batch) * head_dim_ : 0,
                tiling.width) {
    if constexpr (ahead) transposed_ = table.of_batch(memory_.view, head_dim_, head_dim_);
  }

  /// The factor of products that yield scores, for queries [begin, end).
  template <class Exec>
  MatrixBatch<const Element> factor(const Exec& exec, const HeadBatch& batch, int begin, int end) const {
    if constexpr (!ahead) {
      return this->rows(begin, end);
    } else {
      const auto transposed = transposed_.rows(0, head_dim_);
      constexpr int block = TransposeRows<Element>::block;
      launch(exec, "strait::attention::transpose",
             std::int64_t(batch.items) * (transposed.column_count / block),
             TransposeRows<Element>{transposed, this->rows(begin, end)});
      return transposed;
    }
  }

 private:
  int head_dim_;
  Workspace<Element> memory_;
  RowBlocks<Element> transposed_;
};

/// The scores of a tile, or their gradients; and the same as factors of products, in the same memory where
/// they are of the same type.
template <class C, class Element>
class Scores {
 public:
  Scores(AddressTable& table, const Tiling& tiling, const char* label)
      : memory_(label, rows_of(tiling), tiling.width),
        factor_memory_(label, shared ? 0 : rows_of(tiling), tiling.width),
        scores_(table.of_batch(memory_.view, tiling.key_rows, tiling.key_rows)) {
    if constexpr (shared) {
      factors_ = scores_;
    } else {
      factors_ = table.of_batch(factor_memory_.view, tiling.key_rows, tiling.key_rows);
    }
  }

  /// [keys, queries] of the tile, or with all columns where those beyond are computed too.
  MatrixBatch<C> scores(const Tile& tile, bool all_columns) const {
    const auto all = scores_.rows(0, tile.keys());
    return all_columns ? all : all.narrowed(tile.queries());
  }
  MatrixBatch<Element> factors(const Tile& tile) const {
    return factors_.rows(0, tile.keys()).narrowed(tile.queries());
  }

 private:
  static constexpr bool shared = std::is_same_v<C, Element>;
  static std::int64_t rows_of(const Tiling& tiling) { return std::int64_t(tiling.batch) * tiling.key_rows; }
  Workspace<C> memory_;
  Workspace<Element> factor_memory_;
  RowBlocks<C> scores_;
  RowBlocks<Element> factors_;
};

/// Where products for the queries of a tile add up: in the tensor that they are for, or where this would
/// round each sum, in scratch.
template <class T>
class QuerySums {
 public:
  QuerySums(const RowBlocks<T>& heads, AddressTable& table, const AttentionShape& shape, const Tiling& tiling)
      : heads_(heads),
        memory_("strait::attention::query_sums", is_narrow<T> ? tiling.batch * tiling.query_rows : 0,
                shape.head_dim) {
    if constexpr (is_narrow<T>) sums_ = table.of_batch(memory_.view, tiling.query_rows, tiling.query_rows);
  }

  MatrixBatch<Compute<T>> sums(const Tile& tile) const {
    if constexpr (is_narrow<T>) {
      return sums_.rows(0, tile.queries());
    } else {
      return heads_.rows(tile.begin, tile.end);
    }
  }

  /// Puts the finished sums in their place, times a factor of each row if there are any.
  template <class Exec>
  void store(const Exec& exec, const char* label, int items, const Tile& tile,
             const Compute<T>* factors = nullptr, int factor_stride = 0) const {
    if (!is_narrow<T> && factors == nullptr) return;
    store_rows<T, Compute<T>>(exec, label, items, heads_.rows(tile.begin, tile.end), sums(tile), factors,
                              factor_stride);
  }

 private:
  RowBlocks<T> heads_;
  Workspace<Compute<T>> memory_;
  RowBlocks<Compute<T>> sums_;
};

}  // namespace strait::kernels::attention
