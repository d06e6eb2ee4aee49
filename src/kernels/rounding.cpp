#include "strait/kernels/rounding.hpp"

#include "strait/core/error.hpp"
#include "strait/core/random.hpp"

namespace strait::kernels {

void round_to_nearest(const ExecutionSpace& exec, const Vector<bfloat16>& rounded,
                      ConstVector<float> values) {
  ensure(rounded.extent(0) == values.extent(0), "round_to_nearest: extents do not match");
  Kokkos::parallel_for(
      "strait::rounding::nearest", RangePolicy(exec, 0, values.extent(0)),
      KOKKOS_LAMBDA(std::int64_t i) { rounded(i) = bfloat16(values(i)); });
}

void round_stochastically(const ExecutionSpace& exec, const Vector<bfloat16>& rounded,
                          ConstVector<float> values, std::uint64_t seed, std::uint64_t stream) {
  ensure(rounded.extent(0) == values.extent(0), "round_stochastically: extents do not match");
  constexpr std::int64_t words = 4, per_block = 2 * words;  // 16 bits are enough for a number
  const auto size = static_cast<std::int64_t>(values.extent(0));
  const Philox random(seed, stream);
  Kokkos::parallel_for(
      "strait::rounding::stochastic", RangePolicy(exec, 0, (size + per_block - 1) / per_block),
      KOKKOS_LAMBDA(std::int64_t index) {
        const Philox::Block block = random.block(static_cast<std::uint64_t>(index));
        const std::int64_t first = index * per_block;
        const std::int64_t count = size - first < per_block ? size - first : per_block;
        for (std::int64_t i = 0; i < count; ++i) {
          const std::uint32_t bits = block.word[i / 2] >> (i % 2 * 16);
          rounded(first + i) = bfloat16::from_bits(to_bfloat16_stochastic(values(first + i), bits));
        }
      });
}

}  // namespace strait::kernels
