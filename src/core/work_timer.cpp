#include "strait/core/work_timer.hpp"

#include "cuda_check.hpp"

namespace strait {

double WorkTimer::take_seconds() {
  const double taken = seconds();
  seconds_ = 0.0;
  return taken;
}

#ifdef KOKKOS_ENABLE_CUDA

/// Those of pieces that are done serve again, so that there are no more than the device lags behind.
EventHandle WorkTimer::new_event() {
  if (unused_.empty()) seconds();
  EventHandle handle;
  if (unused_.empty()) {
    cudaEvent_t event = nullptr;
    check_cuda(cudaEventCreate(&event));
    handle.reset(event);
  } else {
    handle = std::move(unused_.back());
    unused_.pop_back();
  }
  check_cuda(cudaEventRecord(handle.get(), exec_.cuda_stream()));
  return handle;
}

void WorkTimer::start() { started_ = new_event(); }

void WorkTimer::stop() { pieces_.emplace_back(std::move(started_), new_event()); }

double WorkTimer::seconds() {
  while (!pieces_.empty() && has_passed(pieces_.front().second.get())) {
    auto& [begin, end] = pieces_.front();
    float milliseconds = 0.0f;
    check_cuda(cudaEventElapsedTime(&milliseconds, begin.get(), end.get()));
    seconds_ += 1e-3 * static_cast<double>(milliseconds);
    unused_.push_back(std::move(begin));
    unused_.push_back(std::move(end));
    pieces_.pop_front();
  }
  return seconds_;
}

#else

void WorkTimer::start() { watch_ = Stopwatch(); }

void WorkTimer::stop() {
  if constexpr (!host_accessible) fence(exec_, "strait::core::work_timer: the clock is read next");
  seconds_ += watch_.seconds();
}

double WorkTimer::seconds() { return seconds_; }

#endif

}  // namespace strait
