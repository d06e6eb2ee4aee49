#pragma once
// Host memory that a device copies from and to while the host goes on.

#include "strait/core/device_event.hpp"
#include "strait/core/error.hpp"
#include "strait/core/tensor.hpp"

#include <algorithm>
#include <deque>
#include <span>
#include <utility>

namespace strait {

/// Page-locked on CUDA, ordinary memory on hosts.
#ifdef KOKKOS_ENABLE_CUDA
using PinnedSpace = Kokkos::CudaHostPinnedSpace;
#else
using PinnedSpace = HostSpace;
#endif

template <class T>
using PinnedVector = Kokkos::View<T*, Kokkos::LayoutRight, PinnedSpace>;

/// Hands values of the host to a device that reads them later, by buffers that are used again once read.
template <class T>
class Uploads {
 public:
  /// view <- values, of the same extent, in the order of `exec`; `values` may be reused at once.
  void upload(const ExecutionSpace& exec, const Vector<T>& view, std::span<const T> values) {
    ensure(view.extent(0) == values.size(), "upload: extents agree");
    Buffer& buffer = unused(values.size());
    std::copy(values.begin(), values.end(), buffer.memory.data());
    Kokkos::deep_copy(exec, view,
                      Kokkos::subview(buffer.memory, std::make_pair(std::size_t{0}, values.size())));
    buffer.read.record(exec);
  }

 private:
  struct Buffer {
    PinnedVector<T> memory;
    DeviceEvent read;
  };

  Buffer& unused(std::size_t size) {
    for (Buffer& buffer : buffers_) {
      if (buffer.memory.extent(0) >= size && buffer.read.passed()) return buffer;
    }
    buffers_.emplace_back().memory =
        PinnedVector<T>(Kokkos::view_alloc(Kokkos::WithoutInitializing, "strait::core::upload"), size);
    return buffers_.back();
  }

  std::deque<Buffer> buffers_;
};

}  // namespace strait
