#include "strait/kernels/checksum.hpp"

namespace strait::kernels {

template <class T>
std::uint64_t checksum(const ExecutionSpace& exec, ConstVector<T> x) {
  const auto* const bytes = reinterpret_cast<const std::uint8_t*>(x.data());
  std::uint64_t sum = 0;
  Kokkos::parallel_reduce(
      "strait::checksum::sum", RangePolicy(exec, 0, x.extent(0)),
      KOKKOS_LAMBDA(std::int64_t i, std::uint64_t & partial) {
        std::uint64_t z = 0;
        for (std::size_t k = 0; k < sizeof(T); ++k) {
          z |= static_cast<std::uint64_t>(bytes[i * sizeof(T) + k]) << (8 * k);
        }
        // SplitMix64 (Steele, Lea & Flood 2014).
        z += (static_cast<std::uint64_t>(i) + 1) * 0x9E3779B97F4A7C15u;
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
        z = (z ^ z >> 27) * 0x94D049BB133111EBu;
        partial += z ^ z >> 31;
      },
      sum);
  return sum;
}

template std::uint64_t checksum<std::uint8_t>(const ExecutionSpace&, ConstVector<std::uint8_t>);
template std::uint64_t checksum<float>(const ExecutionSpace&, ConstVector<float>);
template std::uint64_t checksum<double>(const ExecutionSpace&, ConstVector<double>);

}  // namespace strait::kernels
