#pragma once
// Where the heads of a batch begin. They stand side by side in the rows of a tensor: those of several
// sequences have no constant stride.

#include "strait/core/error.hpp"
#include "strait/kernels/attention.hpp"

#include "host_item.hpp"
#include "matrix_batch.hpp"
#include "workspace.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <type_traits>
#include <vector>

namespace strait::kernels::attention {

/// Query heads of a batch of items. An item is a pair (sequence, key-value head); a batch never holds two
/// query heads of one item, so that their contributions to its keys and values do not collide.
struct HeadBatch {
  int first_item;
  int items;
  int member;  ///< which of the query heads that share a key-value head
};

class AddressTable;

/// Matrices whose rows are cut into blocks of one height; an address is known for each block.
template <class T>
class RowBlocks {
 public:
  /// Rows [begin, end); `begin` must be that of a block.
  MatrixBatch<T> rows(int begin, int end) const;

 private:
  friend class AddressTable;
  const AddressTable* table_;
  int first_slot_;
  int height_;
  int column_count_;
  std::int64_t row_stride_;
};

/// The addresses of all matrices that attention works on, for one batch of heads at a time: computed on the
/// device, by one kernel for each eight tensors.
class AddressTable {
 public:
  /// For batches of at most `items` items.
  AddressTable(const AttentionShape& shape, int items) : shape_(shape), capacity_(items) {}
  AddressTable(const AddressTable&) = delete;
  AddressTable& operator=(const AddressTable&) = delete;

  /// `width` columns for each query head of a tensor [tokens, >= heads * width], in blocks of `height` rows.
  template <class T>
  RowBlocks<T> query_heads(const Matrix<T>& tensor, int width, int height) {
    const int group = shape_.heads / shape_.kv_heads;
    return of_tensor(tensor, 0, group * width, width, width, height);
  }

  /// head_dim columns for each key-value head of a tensor [tokens, columns], from `first_column` on.
  template <class T>
  RowBlocks<T> kv_heads(const Matrix<T>& tensor, int first_column, int height) {
    return of_tensor(tensor, first_column, shape_.head_dim, 0, shape_.head_dim, height);
  }

  /// For each item of a batch `item_rows` rows of scratch [items * item_rows, columns] without gaps.
  template <class T>
  RowBlocks<T> of_batch(const Matrix<T>& scratch, int item_rows, int height) {
    const auto columns = static_cast<std::int64_t>(scratch.extent(1));
    const std::int64_t size = sizeof(T) * columns * item_rows;
    add({{address_of(scratch.data()), size * shape_.kv_heads, size,
          static_cast<std::int64_t>(sizeof(T)) * columns * height, slots_},
         -size,
         0},
        item_rows, height);
    return blocks(scratch, height, static_cast<int>(columns));
  }

  /// To be called once, when all tensors are known.
  void complete() { memory_.emplace("strait::attention::addresses", slots_, capacity_); }

  /// Computes the addresses for `batch`, on a HostItem those of the item; those of the batch before are gone.
  template <class Exec>
  void fill(const Exec& exec, const HeadBatch& batch) const {
    constexpr int most = FillAddresses::most;
    for (std::size_t first = 0; first < tensors_.size(); first += most) {
      const std::size_t last = std::min<std::size_t>(first + most, tensors_.size());
      FillAddresses functor{.placements = {},
                            .count = static_cast<int>(last - first),
                            .kv_heads = shape_.kv_heads,
                            .items = batch.items,
                            .first_item = batch.first_item,
                            .capacity = capacity_,
                            .table = &memory_->view(0, 0)};
      for (std::size_t t = first; t < last; ++t) {
        Placement& placement = functor.placements[t - first];
        placement = tensors_[t].placement;
        placement.address +=
            batch.first_item * tensors_[t].first_item_stride + batch.member * tensors_[t].member_stride;
      }
      const int end_slot = last < tensors_.size() ? tensors_[last].placement.first_slot : slots_;
      const std::int64_t count = std::int64_t(end_slot - functor.placements[0].first_slot) * batch.items;
      if constexpr (std::is_same_v<Exec, HostItem>) {
        for (std::int64_t index = exec.item; index < count; index += batch.items) functor(index);
      } else {
        Kokkos::parallel_for("strait::attention::addresses", RangePolicy(exec, 0, count), functor);
      }
    }
  }

  const Address* slot(int index) const { return &memory_->view(index, 0); }

  /// Where blocks of a tensor begin, in bytes. Small: Kokkos passes a functor of 512 bytes and more through
  /// memory for whose last use the host would wait.
  struct Placement {
    std::int64_t address;  ///< of item 0
    std::int64_t sequence_stride;
    std::int64_t head_stride;  ///< of key-value heads
    std::int64_t block_stride;
    int first_slot;
  };

  struct FillAddresses {
    static constexpr int most = 8;
    Placement placements[most];
    int count;
    int kv_heads;
    int items;
    int first_item;
    int capacity;
    Address* table;  ///< [slots, capacity]

    KOKKOS_FUNCTION void operator()(std::int64_t index) const {
      const int slot = placements[0].first_slot + static_cast<int>(index / items);
      const int item = static_cast<int>(index % items), number = first_item + item;
      int found = 0;
      while (found + 1 < count && placements[found + 1].first_slot <= slot) ++found;
      const Placement& p = placements[found];
      const std::int64_t address = p.address + number / kv_heads * p.sequence_stride +
                                   number % kv_heads * p.head_stride + (slot - p.first_slot) * p.block_stride;
      table[std::int64_t(slot) * capacity + item].data = reinterpret_cast<void*>(address);
    }
  };

 private:
  struct Tensor {
    Placement placement;
    std::int64_t first_item_stride;  ///< what the address moves by with the first item of a batch
    std::int64_t member_stride;
  };

  template <class T>
  static std::int64_t address_of(T* data) {
    return reinterpret_cast<std::int64_t>(data);
  }

  template <class T>
  RowBlocks<T> of_tensor(const Matrix<T>& tensor, int first_column, int head_step, int member_step, int width,
                         int height) {
    const std::int64_t element = sizeof(T), row = element * row_stride(tensor);
    add({{address_of(tensor.data() + first_column), row * shape_.sequence_length, element * head_step,
          row * height, slots_},
         0,
         element * member_step},
        shape_.sequence_length, height);
    return blocks(tensor, height, width);
  }

  void add(const Tensor& tensor, int row_count, int height) {
    ensure(!memory_, "attention: the address table is complete");
    tensors_.push_back(tensor);
    slots_ += (row_count + height - 1) / height;
  }

  template <class T>
  static std::int64_t row_stride(const Matrix<T>& tensor) {
    return tensor.extent(0) > 1 ? tensor.stride(0) : tensor.extent(1);
  }

  template <class T>
  RowBlocks<T> blocks(const Matrix<T>& tensor, int height, int width) const {
    RowBlocks<T> result;
    result.table_ = this;
    result.first_slot_ = tensors_.back().placement.first_slot;
    result.height_ = height;
    result.column_count_ = width;
    result.row_stride_ = row_stride(tensor);
    return result;
  }

  AttentionShape shape_;
  int capacity_;
  int slots_ = 0;
  std::vector<Tensor> tensors_;
  std::optional<Workspace<Address>> memory_;
};

template <class T>
MatrixBatch<T> RowBlocks<T>::rows(int begin, int end) const {
  return {table_->slot(first_slot_ + begin / height_), end - begin, column_count_, row_stride_};
}

}  // namespace strait::kernels::attention
