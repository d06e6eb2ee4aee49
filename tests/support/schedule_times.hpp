#pragma once
// When the ranks of a schedule would be done if messages took no time and never waited for a buffer.

#include "strait/pipeline/schedule.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <tuple>
#include <vector>

namespace strait::test {

/// Of one chunk and micro-batch, in any unit.
struct PassTimes {
  double forward = 1.0;
  double backward_input = 1.0;
  double backward_weight = 1.0;
};

/// The time from the first action to the last computation.
inline double makespan(const pipeline::Schedule& schedule, const PassTimes& times) {
  using enum pipeline::ActionKind;
  const auto cost = [&](const pipeline::Action& action) {
    switch (action.kind) {
      case forward:
        return times.forward;
      case backward:
        return times.backward_input + times.backward_weight;
      case backward_input:
        return times.backward_input;
      case backward_weight:
        return times.backward_weight;
      default:
        return 0.0;
    }
  };
  std::map<std::tuple<bool, int, int>, double> sent;  // by direction, boundary, micro-batch
  std::vector<double> clock(schedule.ranks.size());
  std::vector<std::size_t> next(schedule.ranks.size());
  const auto advance = [&](std::size_t rank) {
    if (next[rank] == schedule.ranks[rank].size()) return false;
    const pipeline::Action& action = schedule.ranks[rank][next[rank]];
    const bool onwards = action.kind == send_forward || action.kind == receive_forward;
    const std::tuple key(onwards, action.boundary, action.micro_batch);
    if (pipeline::is_receive(action.kind)) {
      if (!sent.count(key)) return false;
      clock[rank] = std::max(clock[rank], sent[key]);
    }
    clock[rank] += cost(action);
    if (pipeline::is_send(action.kind)) sent[key] = clock[rank];
    ++next[rank];
    return true;
  };
  for (bool moved = true; moved;) {
    moved = false;
    for (std::size_t rank = 0; rank < next.size(); ++rank) {
      while (advance(rank)) moved = true;
    }
  }
  for (std::size_t rank = 0; rank < next.size(); ++rank) EXPECT_EQ(next[rank], schedule.ranks[rank].size());
  return *std::max_element(clock.begin(), clock.end());
}

}  // namespace strait::test
