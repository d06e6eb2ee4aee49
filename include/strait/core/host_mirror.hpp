#pragma once
// The one way for host code to see or fill a device tensor.

#include "strait/core/error.hpp"
#include "strait/core/tensor.hpp"

namespace strait {

namespace host_mirror_detail {

/// Room for the contents of `view` without gaps. (The layout that a View states may hold its stride.)
template <class Space, class View>
auto packed_like(const View& view) {
  Kokkos::LayoutRight extents;
  for (int r = 0; r < static_cast<int>(View::rank); ++r) extents.dimension[r] = view.extent(r);
  return Kokkos::View<typename View::non_const_data_type, Kokkos::LayoutRight, Space>(
      Kokkos::view_alloc(Kokkos::WithoutInitializing, "strait::core::mirror"), extents);
}

}  // namespace host_mirror_detail

/// Uninitialised host memory for the contents of `view`, without gaps: to be filled and handed to to_device.
template <class View>
auto host_like(const View& view) {
  return host_mirror_detail::packed_like<HostSpace>(view);
}

/// A host copy of `view` with its contents, without gaps; waits for `exec`. It never aliases the tensor.
template <class View>
auto to_host(const ExecutionSpace& exec, const View& view) {
  const auto host = host_like(view);
  if (host_accessible || view.span_is_contiguous()) {
    Kokkos::deep_copy(exec, host, view);
  } else {  // Kokkos copies strided rows within a memory space only.
    const auto packed = host_mirror_detail::packed_like<MemorySpace>(view);
    Kokkos::deep_copy(exec, packed, view);
    Kokkos::deep_copy(exec, host, packed);
  }
  fence(exec, "strait::core::to_host: the host reads the copy next");
  return host;
}

/// Fills `view` from `host`, of the same extents; waits, so that `host` may be reused.
template <class View, class HostView>
void to_device(const ExecutionSpace& exec, const View& view, const HostView& host) {
  for (int r = 0; r < static_cast<int>(View::rank); ++r) {
    ensure(view.extent(r) == host.extent(r), "to_device: extents agree");
  }
  if (host_accessible || (view.span_is_contiguous() && host.span_is_contiguous())) {
    Kokkos::deep_copy(exec, view, host);
  } else {
    const auto packed = host_mirror_detail::packed_like<MemorySpace>(view);
    Kokkos::deep_copy(exec, packed, host);
    Kokkos::deep_copy(exec, view, packed);
  }
  fence(exec, "strait::core::to_device: the host buffer may be reused");
}

}  // namespace strait
