#pragma once
// How long a device works, without waiting for it.

#include "strait/core/device_event.hpp"
#include "strait/core/timer.hpp"

#include <deque>
#include <utility>
#include <vector>

namespace strait {

/// Adds up the time of pieces of work on one execution space instance: on hosts by the clock, on CUDA between
/// points in the stream, which count once the work before them is done.
class WorkTimer {
 public:
  explicit WorkTimer(const ExecutionSpace& exec) : exec_(exec) {}

  void start();
  void stop();

  /// Seconds of the pieces that are done; never waits.
  double seconds();
  /// The same, and counts from zero. What is not done yet counts next time.
  double take_seconds();

 private:
  EventHandle new_event();

  ExecutionSpace exec_;
  double seconds_ = 0.0;
  Stopwatch watch_;                                         ///< of hosts
  EventHandle started_;                                     ///< of CUDA, as what follows
  std::deque<std::pair<EventHandle, EventHandle>> pieces_;  ///< not counted yet
  std::vector<EventHandle> unused_;
};

}  // namespace strait
