#pragma once
// A hash table from pairs of token ids to the rank of their merge: open addressing, one cache line a look-up.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace strait::data {

class PairTable {
 public:
  static constexpr std::uint32_t none = 0xffffffff;

  explicit PairTable(std::size_t pairs)
      : slots_(std::bit_ceil(2 * pairs + 2)), shift_(64 - std::countr_zero(slots_.size())) {}

  /// A pair that is there already gets the new rank. At most as many pairs as the constructor was told.
  void set(std::int32_t left, std::int32_t right, std::uint32_t rank) {
    slots_[place(left, right)] = {left, right, rank};
  }

  std::uint32_t find(std::int32_t left, std::int32_t right) const { return slots_[place(left, right)].rank; }

 private:
  struct Slot {
    std::int32_t left = -1, right = -1;
    std::uint32_t rank = none;
  };

  /// The slot of the pair, or the empty one where it belongs. Fibonacci hashing.
  std::size_t place(std::int32_t left, std::int32_t right) const {
    const std::uint64_t key = static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 |
                              static_cast<std::uint32_t>(right);
    std::size_t at = static_cast<std::size_t>((key * 0x9e3779b97f4a7c15) >> shift_);
    while (slots_[at].rank != none && (slots_[at].left != left || slots_[at].right != right)) {
      at = (at + 1) & (slots_.size() - 1);
    }
    return at;
  }

  std::vector<Slot> slots_;
  int shift_;
};

}  // namespace strait::data
