#pragma once
// Says when a rank is being waited for.

#include <cstdio>

namespace strait::app {

/// A pipeline::WaitHook: speaks once a minute, and then less often.
class Watchdog {
 public:
  explicit Watchdog(int rank) : rank_(rank) {}

  void operator()(double seconds) {
    if (seconds < 1.0) patience_ = first_patience;
    if (seconds < patience_) return;
    std::fprintf(stderr, "strait: rank %d has waited %.0f s for a message\n", rank_, seconds);
    patience_ *= 2.0;
  }

 private:
  static constexpr double first_patience = 60.0;  // seconds
  int rank_;
  double patience_ = first_patience;
};

}  // namespace strait::app
