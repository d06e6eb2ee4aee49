#pragma once
// Counts the memory that Kokkos allocates.

#include "strait/core/kokkos.hpp"

#include <cstdint>

namespace strait::test {

/// Counts allocations while it lives; one at a time.
class AllocationCount {
 public:
  AllocationCount() {
    live() = 0;
    Kokkos::Tools::Experimental::set_allocate_data_callback(
        [](Kokkos::Profiling::SpaceHandle, const char*, const void*, std::uint64_t size) {
          live() += static_cast<std::int64_t>(size);
        });
    Kokkos::Tools::Experimental::set_deallocate_data_callback(
        [](Kokkos::Profiling::SpaceHandle, const char*, const void*, std::uint64_t size) {
          live() -= static_cast<std::int64_t>(size);
        });
  }
  ~AllocationCount() {
    Kokkos::Tools::Experimental::set_allocate_data_callback(nullptr);
    Kokkos::Tools::Experimental::set_deallocate_data_callback(nullptr);
  }
  AllocationCount(const AllocationCount&) = delete;
  AllocationCount& operator=(const AllocationCount&) = delete;

  /// Allocated since and not freed.
  std::int64_t live_bytes() const { return live(); }

 private:
  static std::int64_t& live() {
    static std::int64_t bytes = 0;
    return bytes;
  }
};

}  // namespace strait::test
