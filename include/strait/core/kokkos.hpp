#pragma once
// The only place that knows which Kokkos version it is built with (3.4.1, 4.x or 5.x).

#include <Kokkos_Core.hpp>

#include <string>

namespace strait {

using ExecutionSpace = Kokkos::DefaultExecutionSpace;
using MemorySpace = ExecutionSpace::memory_space;
using HostSpace = Kokkos::HostSpace;

/// "3.4.1"
inline std::string kokkos_version() {
  constexpr int version = KOKKOS_VERSION;
  return std::to_string(version / 10000) + '.' + std::to_string(version / 100 % 100) + '.' +
         std::to_string(version % 100);
}

/// True where a host pointer may read device tensors (Serial, OpenMP).
inline constexpr bool host_accessible =
    Kokkos::SpaceAccessibility<Kokkos::DefaultHostExecutionSpace, MemorySpace>::accessible;

/// Waits for `exec`. The label says why: fences are never silent.
inline void fence(const ExecutionSpace& exec, const std::string& why) {
#if KOKKOS_VERSION >= 30500
  exec.fence(why);
#else
  (void)why;
  exec.fence();
#endif
}

/// A named region for profilers, closed by scope.
class Region {
 public:
  explicit Region(const std::string& label) { Kokkos::Profiling::pushRegion(label); }
  ~Region() { Kokkos::Profiling::popRegion(); }
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;
};

/// Math functions that work in kernels under every Kokkos version.
namespace math {
#if KOKKOS_VERSION >= 30700
namespace implementation = Kokkos;
#else
namespace implementation = Kokkos::Experimental;
#endif
using implementation::ceil;
using implementation::cos;
using implementation::exp;
using implementation::fabs;
using implementation::floor;
using implementation::fmax;
using implementation::fmin;
using implementation::isfinite;
using implementation::log;
using implementation::nearbyint;
using implementation::pow;
using implementation::sin;
using implementation::sqrt;
}  // namespace math

/// MDRangePolicy, TeamPolicy and RangePolicy on the one execution space.
using RangePolicy = Kokkos::RangePolicy<ExecutionSpace, Kokkos::IndexType<std::int64_t>>;
using TeamPolicy = Kokkos::TeamPolicy<ExecutionSpace>;
using TeamMember = TeamPolicy::member_type;

}  // namespace strait
