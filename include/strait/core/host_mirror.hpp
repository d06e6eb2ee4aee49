#pragma once
// The one way for host code to see or fill a device tensor.

#include "strait/core/error.hpp"
#include "strait/core/tensor.hpp"

namespace strait {

/// A host copy of `view` with its contents; waits for `exec`. Read it freely: it never aliases the tensor.
template <class View>
auto to_host(const ExecutionSpace& exec, const View& view) {
  using Data = typename View::non_const_data_type;
  Kokkos::View<Data, Kokkos::LayoutRight, HostSpace> host(
      Kokkos::view_alloc(Kokkos::WithoutInitializing, "strait::core::host_mirror"), view.layout());
  if (host_accessible || view.span_is_contiguous()) {
    Kokkos::deep_copy(exec, host, view);
  } else {  // Kokkos copies strided rows within a memory space only.
    const Kokkos::View<Data, Kokkos::LayoutRight, MemorySpace> packed(
        Kokkos::view_alloc(Kokkos::WithoutInitializing, "strait::core::packed"), view.layout());
    Kokkos::deep_copy(exec, packed, view);
    Kokkos::deep_copy(exec, host, packed);
  }
  fence(exec, "strait::core::to_host: the host reads the copy next");
  return host;
}

/// Fills `view` from `host`, of the same extents; waits, so that `host` may be reused.
template <class View, class HostView>
void to_device(const ExecutionSpace& exec, const View& view, const HostView& host) {
  ensure(view.span() == host.span(), "to_device: extents differ");
  Kokkos::deep_copy(exec, view, host);
  fence(exec, "strait::core::to_device: the host buffer may be reused");
}

}  // namespace strait
