#pragma once
// Token ids from the host to where a stage reads them.

#include "strait/core/host_mirror.hpp"

#include <cstdint>
#include <vector>

namespace strait::app {

/// Fills `view` unless it is empty, as the view of a batch request is that nobody wants.
inline void upload(const ExecutionSpace& exec, const MutableTokenIds& view,
                   std::vector<std::int32_t>& tokens) {
  if (view.extent(0) == 0) return;
  to_device(exec, view,
            Kokkos::View<std::int32_t*, Kokkos::LayoutRight, HostSpace>(tokens.data(), tokens.size()));
}

}  // namespace strait::app
