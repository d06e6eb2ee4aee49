#include "strait/core/device_event.hpp"

#include "cuda_check.hpp"

namespace strait {

#ifdef KOKKOS_ENABLE_CUDA

void DestroyEvent::operator()(CUevent_st* event) const { cudaEventDestroy(event); }

void DeviceEvent::record(const ExecutionSpace& exec) {
  if (!event_) {
    cudaEvent_t event = nullptr;
    check_cuda(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
    event_.reset(event);
  }
  check_cuda(cudaEventRecord(event_.get(), exec.cuda_stream()));
}

bool DeviceEvent::passed() const { return !event_ || has_passed(event_.get()); }

void DeviceEvent::hold(const ExecutionSpace& exec) const {
  if (event_) check_cuda(cudaStreamWaitEvent(exec.cuda_stream(), event_.get(), 0));
}

ExecutionSpace overlapping_instance(const ExecutionSpace& exec) {
  return Kokkos::Experimental::partition_space(exec, 1)[0];
}

#else

void DestroyEvent::operator()(CUevent_st*) const {}

void DeviceEvent::record(const ExecutionSpace& exec) {
  if constexpr (!host_accessible) fence(exec, "strait::core::device_event: no events on this device");
}

bool DeviceEvent::passed() const { return true; }

void DeviceEvent::hold(const ExecutionSpace&) const {}

ExecutionSpace overlapping_instance(const ExecutionSpace& exec) { return exec; }

#endif

}  // namespace strait
