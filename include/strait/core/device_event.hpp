#pragma once
// Points in the work of a device that the host asks for, and other streams wait for, while the host goes on.
// On hosts a kernel has run when its launch returns: every point is passed at once.

#include "strait/core/kokkos.hpp"

#include <memory>

struct CUevent_st;

namespace strait {

/// A cudaEvent_t, destroyed with this; none on hosts.
struct DestroyEvent {
  void operator()(CUevent_st* event) const;
};
using EventHandle = std::unique_ptr<CUevent_st, DestroyEvent>;

/// A point in the work of an execution space instance; passed until it is recorded first.
class DeviceEvent {
 public:
  /// Becomes the point behind all that `exec` has been given.
  void record(const ExecutionSpace& exec);
  /// Whether the work before the point is done; never waits.
  bool passed() const;
  /// What `exec` is given from now on begins behind the point. The host does not wait.
  void hold(const ExecutionSpace& exec) const;

 private:
  EventHandle event_;
};

/// An instance whose work may overlap that of `exec`: a stream of its own on CUDA, `exec` itself on hosts.
ExecutionSpace overlapping_instance(const ExecutionSpace& exec);

}  // namespace strait
