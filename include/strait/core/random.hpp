#pragma once
// Counter-based random numbers: each is a function of (seed, stream, index), whatever the ranks and threads.

#include "strait/core/kokkos.hpp"

#include <cstdint>

namespace strait {

/// Philox4x32-10 of Salmon, Moraes, Dror & Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).
/// The seed is the key; the counter is (index, stream). Callable from kernels; copies are free. Draws at one
/// (stream, index) share their bits: give each purpose a stream of its own.
class Philox {
 public:
  KOKKOS_FUNCTION Philox(std::uint64_t seed, std::uint64_t stream) : seed_(seed), stream_(stream) {}

  struct Block {
    std::uint32_t word[4];
  };

  /// The cipher itself: ten rounds on `counter` under the key.
  static KOKKOS_INLINE_FUNCTION Block encrypt(Block counter, std::uint32_t key0, std::uint32_t key1) {
    for (int round = 0; round < 10; ++round) {
      const std::uint64_t product0 = std::uint64_t{0xD2511F53u} * counter.word[0];
      const std::uint64_t product1 = std::uint64_t{0xCD9E8D57u} * counter.word[2];
      counter = {{high(product1) ^ counter.word[1] ^ key0, low(product1),
                  high(product0) ^ counter.word[3] ^ key1, low(product0)}};
      key0 += 0x9E3779B9u;
      key1 += 0xBB67AE85u;
    }
    return counter;
  }

  /// 128 random bits.
  KOKKOS_INLINE_FUNCTION Block block(std::uint64_t index) const {
    return encrypt({{low(index), high(index), low(stream_), high(stream_)}}, low(seed_), high(seed_));
  }

  /// 64 random bits.
  KOKKOS_INLINE_FUNCTION std::uint64_t bits(std::uint64_t index) const {
    const Block b = block(index);
    return join(b.word[0], b.word[1]);
  }

  /// Uniform on [0, 1): a multiple of 2^-53.
  KOKKOS_INLINE_FUNCTION double uniform(std::uint64_t index) const { return unit(bits(index)); }

  /// Standard normal (Box & Muller 1958).
  KOKKOS_INLINE_FUNCTION double normal(std::uint64_t index) const {
    constexpr double two_pi = 6.283185307179586476925;
    const Block b = block(index);
    const double positive = 1.0 - unit(join(b.word[0], b.word[1]));
    const double turn = unit(join(b.word[2], b.word[3]));
    return math::sqrt(-2.0 * math::log(positive)) * math::cos(two_pi * turn);
  }

 private:
  static KOKKOS_INLINE_FUNCTION std::uint32_t low(std::uint64_t x) { return static_cast<std::uint32_t>(x); }
  static KOKKOS_INLINE_FUNCTION std::uint32_t high(std::uint64_t x) {
    return static_cast<std::uint32_t>(x >> 32);
  }
  static KOKKOS_INLINE_FUNCTION std::uint64_t join(std::uint32_t low_word, std::uint32_t high_word) {
    return std::uint64_t{high_word} << 32 | low_word;
  }
  static KOKKOS_INLINE_FUNCTION double unit(std::uint64_t x) {
    return static_cast<double>(x >> 11) * 0x1.0p-53;
  }

  std::uint64_t seed_;
  std::uint64_t stream_;
};

}  // namespace strait
