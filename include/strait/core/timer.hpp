#pragma once
// Where the time of a rank goes.

#include <array>
#include <chrono>

namespace strait {

/// What a rank may be doing; `other` is whatever no scope covers.
enum class Activity { other, compute, wait, communication, io };
inline constexpr std::array activities = {Activity::other, Activity::compute, Activity::wait,
                                          Activity::communication, Activity::io};

inline const char* name(Activity activity) {
  constexpr std::array names = {"other", "compute", "wait", "communication", "io"};
  return names[static_cast<std::size_t>(activity)];
}

/// Seconds since construction.
class Stopwatch {
 public:
  using Clock = std::chrono::steady_clock;

  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }
  /// Seconds since construction or the last lap.
  double lap() {
    const auto now = Clock::now();
    const double elapsed = std::chrono::duration<double>(now - start_).count();
    start_ = now;
    return elapsed;
  }

 private:
  Clock::time_point start_ = Clock::now();
};

/// Splits one thread's time among the activities: each moment counts once, for the innermost scope, so that
/// the shares add up to the time since construction.
///
///   TimeShares shares;
///   { auto scope = shares.during(Activity::wait); ... }
///   shares.seconds(Activity::wait);
class TimeShares {
 public:
  class Scope {
   public:
    Scope(TimeShares& shares, Activity activity) : shares_(shares), outer_(shares.current_) {
      shares_.switch_to(activity);
    }
    ~Scope() { shares_.switch_to(outer_); }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    TimeShares& shares_;
    Activity outer_;
  };

  /// Counts for `activity` until the scope ends. Scopes nest.
  [[nodiscard]] Scope during(Activity activity) { return {*this, activity}; }

  /// Seconds so far, including the scope that is open.
  double seconds(Activity activity) const {
    const double open = activity == current_ ? since_switch_.seconds() : 0.0;
    return seconds_[static_cast<std::size_t>(activity)] + open;
  }

 private:
  void switch_to(Activity activity) {
    seconds_[static_cast<std::size_t>(current_)] += since_switch_.lap();
    current_ = activity;
  }

  std::array<double, activities.size()> seconds_{};
  Activity current_ = Activity::other;
  Stopwatch since_switch_;
};

}  // namespace strait
