#pragma once
// What is to happen on a simulated machine, in the order of time.

#include <cstdint>
#include <functional>
#include <queue>
#include <vector>

namespace strait::pipeline::simulator_detail {

enum class EventKind {
  rank_done,        ///< of a rank
  message_left,     ///< of a channel
  message_arrived,  ///< of a channel
  part_given,       ///< of a sum's part, by a replica
  part_summed       ///< of a sum's part
};

struct Event {
  double time;
  std::int64_t number;  ///< in the order in which they were planned
  EventKind kind;
  int subject;

  bool operator>(const Event& other) const {
    return time != other.time ? time > other.time : number > other.number;
  }
};

class Events {
 public:
  double now() const { return now_; }
  bool empty() const { return queue_.empty(); }

  /// Returns its number.
  std::int64_t plan(double after, EventKind kind, int subject) {
    queue_.push({.time = now_ + after, .number = planned_, .kind = kind, .subject = subject});
    return planned_++;
  }

  Event take() {
    const Event event = queue_.top();
    queue_.pop();
    return event;
  }

  /// The event takes place, and the clock says so.
  void begin(const Event& event) { now_ = event.time; }

 private:
  std::priority_queue<Event, std::vector<Event>, std::greater<Event>> queue_;
  std::int64_t planned_ = 0;
  double now_ = 0.0;
};

}  // namespace strait::pipeline::simulator_detail
