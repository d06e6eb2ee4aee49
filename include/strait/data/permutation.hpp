#pragma once
// Pseudo-random permutations that need no memory.

#include <bit>
#include <cstdint>

namespace strait::data {

/// A permutation of 0 .. size-1 chosen by `key`: a Feistel network on the smallest square power of two that
/// holds `size`, walked along its cycles until it falls inside (Black & Rogaway, "Ciphers with arbitrary
/// finite domains", CT-RSA 2002). At most 4 walks are expected.
class Permutation {
 public:
  Permutation(std::int64_t size, std::uint64_t key)
      : size_(static_cast<std::uint64_t>(size)),
        key_(key),
        half_bits_((std::bit_width(size_ > 1 ? size_ - 1 : std::uint64_t{1}) + 1) / 2) {}

  /// Where `index` in [0, size) goes.
  std::int64_t operator()(std::int64_t index) const {
    auto value = static_cast<std::uint64_t>(index);
    do value = encrypt(value);
    while (value >= size_);
    return static_cast<std::int64_t>(value);
  }

 private:
  static constexpr int rounds = 8;

  /// The finaliser of SplitMix64 (Steele, Lea & Flood, OOPSLA 2014).
  static std::uint64_t mix(std::uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
  }

  std::uint64_t encrypt(std::uint64_t value) const {
    const std::uint64_t mask = (std::uint64_t{1} << half_bits_) - 1;
    std::uint64_t left = value >> half_bits_;
    std::uint64_t right = value & mask;
    for (std::uint64_t round = 1; round <= rounds; ++round) {
      const std::uint64_t next = left ^ (mix(mix(key_ + round * 0x9e3779b97f4a7c15u) + right) & mask);
      left = right;
      right = next;
    }
    return left << half_bits_ | right;
  }

  std::uint64_t size_;
  std::uint64_t key_;
  int half_bits_;
};

}  // namespace strait::data
