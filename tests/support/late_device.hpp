#pragma once
// A device that is behind its host, as none is on hosts: it moves on only when it is asked how far it is.

#include "strait/pipeline/mpi_transport.hpp"

#include <functional>
#include <map>
#include <random>
#include <vector>

namespace strait::test {

/// One stream of work, in order. An answer takes it on by one piece with a chance of one in `lateness`.
class LateDevice {
 public:
  LateDevice(int lateness, unsigned seed) : lateness_(lateness), random_(seed) {}

  void give(std::function<void()> piece) { work_.push_back(std::move(piece)); }
  void record(const DeviceEvent& event) {
    give([] {});
    points_[&event] = work_.size();
  }
  bool passed(const DeviceEvent& event) {
    if (random_() % lateness_ == 0) move_on();
    const auto point = points_.find(&event);
    const bool passed = point == points_.end() || point->second <= done_;
    if (!passed) ++refusals_;
    return passed;
  }
  void finish() {
    while (done_ < work_.size()) move_on();
  }
  /// How often a point had not been passed.
  int refusals() const { return refusals_; }

 private:
  void move_on() {
    if (done_ < work_.size()) work_[done_++]();
  }

  unsigned lateness_;
  std::minstd_rand random_;
  std::vector<std::function<void()>> work_;
  std::size_t done_ = 0;
  std::map<const DeviceEvent*, std::size_t> points_;  ///< pieces before each
  int refusals_ = 0;
};

/// Over MPI, with that device.
class LateTransport : public pipeline::MpiTransport {
 public:
  template <class... Arguments>
  LateTransport(LateDevice& device, Arguments&&... arguments)
      : MpiTransport(std::forward<Arguments>(arguments)...), device_(device) {}

 protected:
  void record(DeviceEvent& event, const ExecutionSpace&) override { device_.record(event); }
  bool passed(const DeviceEvent& event) override { return device_.passed(event); }

 private:
  LateDevice& device_;
};

}  // namespace strait::test
