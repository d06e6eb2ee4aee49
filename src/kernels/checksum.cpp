#include "strait/kernels/checksum.hpp"

#include "strait/core/host_mirror.hpp"
#include "strait/core/scratch.hpp"

namespace strait::kernels {

template <class T>
void checksum(const ExecutionSpace& exec, const Vector<std::uint64_t>& sum, ConstVector<T> x) {
  const auto* const bytes = reinterpret_cast<const std::uint8_t*>(x.data());
  // Into a View, a reduction does not make the host wait.
  const Kokkos::View<std::uint64_t, MemorySpace> result(sum.data());
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
      result);
}

template <class T>
std::uint64_t checksum(const ExecutionSpace& exec, ConstVector<T> x) {
  const auto sum = scratch<std::uint64_t>("strait::checksum::result", 1);
  checksum<T>(exec, sum, x);
  return to_host(exec, sum)(0);
}

#define STRAIT_INSTANTIATE(T)                                                                     \
  template void checksum<T>(const ExecutionSpace&, const Vector<std::uint64_t>&, ConstVector<T>); \
  template std::uint64_t checksum<T>(const ExecutionSpace&, ConstVector<T>);
STRAIT_INSTANTIATE(std::uint8_t)
STRAIT_INSTANTIATE(float)
STRAIT_INSTANTIATE(double)
#undef STRAIT_INSTANTIATE

}  // namespace strait::kernels
