// The simulator against closed forms and schedules small enough to work out by hand.

#include "strait/pipeline/simulator.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace strait::pipeline {
namespace {

constexpr double infinite = std::numeric_limits<double>::infinity();

Machine machine_of(int ranks, double bandwidth = infinite, double latency = 0.0, bool duplex = true) {
  Machine machine;
  machine.levels = {{.components = ranks, .bandwidth = bandwidth, .latency = latency, .duplex = duplex}};
  return machine;
}

/// Every stage takes F and B + W for a micro-batch; a message is one unit long each way.
SimulationCosts uniform_costs(int stages, double bytes = 1.0) {
  constexpr StageCosts stage = {.forward = 1.0, .backward_input = 1.25, .backward_weight = 0.75};
  const BoundaryCosts boundary = {.bytes_forward = bytes, .bytes_backward = bytes};
  return {.stages = std::vector<StageCosts>(stages, stage),
          .boundaries = std::vector<BoundaryCosts>(stages - 1, boundary)};
}

constexpr double pass_seconds = 3.0;  // of uniform_costs, F + B + W

TEST(Simulator, BubblesAreTheFormulas) {
  for (const char* name : {"gpipe", "1f1b"}) {
    for (const int stages : {1, 2, 3, 8}) {
      for (const int micro_batches : {1, 4, 16}) {
        const auto out =
            simulate(schedule(name, stages, micro_batches), uniform_costs(stages), machine_of(stages));
        EXPECT_NEAR(out.seconds, (micro_batches + stages - 1) * pass_seconds, 1e-9) << name << stages;
        for (int rank = 0; rank < stages; ++rank) {
          EXPECT_NEAR(out.idle_share(rank), (stages - 1.0) / (micro_batches + stages - 1), 1e-12);
        }
      }
    }
  }
}

TEST(Simulator, ChunksDivideTheBubble) {
  for (const int chunks : {2, 3, 4}) {
    for (const int stages : {2, 4}) {
      SimulationCosts costs = uniform_costs(stages * chunks);
      for (StageCosts& stage : costs.stages) {
        stage.forward /= chunks;
        stage.backward_input /= chunks;
        stage.backward_weight /= chunks;
      }
      const int micro_batches = 4 * stages;
      const auto out = simulate(schedule("interleaved", stages, micro_batches, {.chunks = chunks}), costs,
                                machine_of(stages));
      EXPECT_NEAR(out.seconds, (micro_batches + (stages - 1.0) / chunks) * pass_seconds, 1e-9)
          << chunks << " " << stages;
    }
  }
}

TEST(Simulator, WeightGradientsFillTheBubble) {
  for (const int stages : {2, 4, 8}) {
    const int micro_batches = 3 * stages;
    SimulationCosts costs = uniform_costs(stages);
    for (StageCosts& stage : costs.stages)
      stage = {.forward = 1.0, .backward_input = 1.0, .backward_weight = 1.0};
    const auto out = simulate(schedule("zb-h1", stages, micro_batches), costs, machine_of(stages));
    EXPECT_NEAR(out.seconds, micro_batches * 3.0 + (stages - 1) * (1.0 + 1.0 - 1.0), 1e-9) << stages;
  }
}

TEST(Simulator, SaturatedLinkCarriesItsBandwidth) {
  constexpr int micro_batches = 32;
  constexpr double bytes = 1e6, bandwidth = 8e5;  // ten seconds each way per micro-batch
  const auto steps = schedule("gpipe", 2, micro_batches);
  const auto shared = simulate(steps, uniform_costs(2, bytes), machine_of(2, bandwidth, 0.0, false));
  // Before the first message and behind the last one there is a forward or a backward, and the last forward
  // and the first backward of the last stage are between both directions.
  EXPECT_NEAR(shared.seconds, 2 * micro_batches * 10.0 + 2 * pass_seconds, 1e-6);
  ASSERT_EQ(shared.links.size(), 2u);
  for (const SimulatedLink& link : shared.links) {
    EXPECT_DOUBLE_EQ(link.bytes, micro_batches * bytes);
    EXPECT_NEAR(link.seconds, micro_batches * 10.0, 1e-9);
  }
}

TEST(Simulator, DuplexLinkCarriesBothDirectionsAtOnce) {
  constexpr int micro_batches = 64;
  SimulationCosts costs = uniform_costs(3, 1e6);
  const auto steps = schedule("1f1b", 3, micro_batches);
  const double duplex = simulate(steps, costs, machine_of(3, 8e5, 0.0, true)).seconds;
  const double shared = simulate(steps, costs, machine_of(3, 8e5, 0.0, false)).seconds;
  EXPECT_GE(duplex, micro_batches * 10.0);
  EXPECT_GE(shared, micro_batches * 20.0);
  EXPECT_GT(shared, duplex);
}

TEST(Simulator, OppositeMessagesShareTheLinkEvenly) {
  // A second for a message. Two ranks whose only actions are to send to each other, the second 0.5 s later:
  // until then the first message is half through; then both move at half speed, the first for another second,
  // and the second has half a second left.
  Schedule both;
  both.stages = 2;
  both.ranks.resize(2);
  both.ranks[0] = {{.kind = ActionKind::send_forward, .micro_batch = 0, .boundary = 0, .peer = 1},
                   {.kind = ActionKind::receive_backward, .micro_batch = 0, .boundary = 0, .peer = 1}};
  both.ranks[1] = {{.kind = ActionKind::forward, .micro_batch = 0},
                   {.kind = ActionKind::send_backward, .micro_batch = 0, .boundary = 0, .peer = 0},
                   {.kind = ActionKind::receive_forward, .micro_batch = 0, .boundary = 0, .peer = 0}};
  SimulationCosts costs = uniform_costs(2, 1e6);
  costs.stages[1].forward = 0.5;
  const auto shared = simulate(both, costs, machine_of(2, 8e6, 0.0, false), true);
  EXPECT_NEAR(shared.ranks[1].actions.back().end, 1.5, 1e-12);
  EXPECT_NEAR(shared.ranks[0].actions.back().end, 2.0, 1e-12);
  EXPECT_NEAR(shared.seconds, 2.0, 1e-12);
  const auto duplex = simulate(both, costs, machine_of(2, 8e6, 0.0, true), true);
  EXPECT_NEAR(duplex.ranks[1].actions.back().end, 1.0, 1e-12);
  EXPECT_NEAR(duplex.seconds, 1.5, 1e-12);
}

TEST(Simulator, LatencyDelaysWithoutOccupying) {
  // Two stages of 1F1B with one micro-batch in flight at a time on the last stage: each backward waits there
  // and back, so latency shows twice in every pass but the first.
  constexpr double latency = 0.5;
  const auto one = simulate(schedule("1f1b", 2, 1), uniform_costs(2), machine_of(2, infinite, latency));
  // Forward, message, forward and backward, message, backward, and the reduction's two ranks.
  EXPECT_NEAR(one.seconds, 2 * pass_seconds + 2 * latency + latency, 1e-12);

  // GPipe sends without waiting: every direction pays once.
  const auto many = simulate(schedule("gpipe", 2, 16), uniform_costs(2), machine_of(2, infinite, latency));
  EXPECT_NEAR(many.seconds, 17 * pass_seconds + 2 * latency + latency, 1e-12);
}

TEST(Simulator, OneFlightPerPassIsWorkedOutByHand) {
  // 1F1B, two ranks, two micro-batches, messages of 0.25 s, encode 0.1, decode 0.2, both ways alike.
  SimulationCosts costs = uniform_costs(2, 1e6);
  costs.boundaries[0].encode = costs.boundaries[0].encode_gradient = 0.1;
  costs.boundaries[0].decode = costs.boundaries[0].decode_gradient = 0.2;
  const auto out = simulate(schedule("1f1b", 2, 2), costs, machine_of(2, 3.2e7), true);
  // Rank 0: F0 0-1, encode -1.1, F1 -2.1, encode -2.2, waits for the gradient of 0.
  // Rank 1: message here at 1.35, decode -1.55, F0 -2.55, B0 -4.55, encode -4.65, then micro-batch 1, which
  // is here since 2.45: decode -4.85, F1 -5.85, B1 -7.85, encode -7.95. Rank 0: gradient at 4.9, decode -5.1,
  // B0 -7.1, gradient of 1 at 8.2, decode -8.4, B1 -10.4, step.
  EXPECT_NEAR(out.seconds, 10.4, 1e-12);
  const auto list = schedule("1f1b", 2, 2).ranks[0];
  const auto& actions = out.ranks[0].actions;
  ASSERT_EQ(actions.size(), list.size());
  ASSERT_EQ(list[4].kind, ActionKind::receive_backward);
  EXPECT_NEAR(actions[4].start, 2.2, 1e-12);
  EXPECT_NEAR(actions[4].waited, 2.7, 1e-12);
  EXPECT_NEAR(actions[4].end, 5.1, 1e-12);
  EXPECT_NEAR(out.ranks[0].compute, 6.0, 1e-12);
  EXPECT_NEAR(out.ranks[0].codec, 0.6, 1e-12);
}

TEST(Simulator, SendersWaitForAFreeBuffer) {
  // A second stage that is slow and a link that is fast: the receiver's two buffers hold two messages, the
  // sender's two hold two more, and the fifth forward waits to be sent.
  SimulationCosts costs = uniform_costs(2);
  costs.stages[1].forward = 100.0;
  const auto steps = schedule("gpipe", 2, 8);
  const auto out = simulate(steps, costs, machine_of(2), true);
  std::vector<double> waits;
  for (std::size_t i = 0; i < steps.ranks[0].size(); ++i) {
    if (steps.ranks[0][i].kind == ActionKind::send_forward) waits.push_back(out.ranks[0].actions[i].waited);
  }
  ASSERT_EQ(waits.size(), 8u);
  for (int b = 0; b < 5; ++b) EXPECT_EQ(waits[b], 0.0) << b;
  EXPECT_GT(waits[5], 90.0);
}

TEST(Simulator, FasterPartsNeverSlowDown) {
  const auto steps = schedule("1f1b", 4, 8);
  double before = infinite;
  for (const double bandwidth : {1e5, 1e6, 1e7, 1e8, 1e12}) {
    const double now = simulate(steps, uniform_costs(4, 1e5), machine_of(4, bandwidth)).seconds;
    EXPECT_LE(now, before);
    before = now;
  }
  EXPECT_NEAR(before, 11 * pass_seconds, 1e-4);
  before = 0.0;
  for (const double latency : {0.0, 1e-3, 1e-1, 1.0}) {
    const double now = simulate(steps, uniform_costs(4), machine_of(4, infinite, latency)).seconds;
    EXPECT_GE(now, before);
    before = now;
  }
  Machine mixed = machine_of(4);
  mixed.speed = {1.0, 1.0, 0.5, 1.0};
  EXPECT_NEAR(simulate(steps, uniform_costs(4), mixed).ranks[2].compute, 8 * 2 * pass_seconds, 1e-9);
}

TEST(Simulator, UpdatesSynchronisationAndTiedTablesCount) {
  SimulationCosts costs = uniform_costs(3);
  costs.bytes_tied = 1e6;  // a second at 8 Mbit/s
  for (auto& stage : costs.stages) stage.update = 0.25;
  for (auto& boundary : costs.boundaries)
    boundary = {.update = 0.125, .bytes_sync_up = 1e6, .bytes_sync_down = 1e6};
  for (auto& boundary : costs.boundaries) boundary.bytes_forward = boundary.bytes_backward = 1e-6;
  const auto out =
      simulate(schedule("1f1b", 3, 3, {.tied_embeddings = true}), costs, machine_of(3, 8e6), true);
  // Both synchronisations up are under way when the first stage is done with its last backward: the last
  // stage ended earlier. Then the tables cross, all meet, the middle updates with both its ends, and both
  // synchronisations down go at once.
  const double backwards = 5 * pass_seconds;
  EXPECT_NEAR(out.ranks[0].updates.at(0), backwards + 1.0 + 0.375, 1e-5);
  EXPECT_NEAR(out.ranks[1].updates.at(0), backwards + 1.0 + 0.5, 1e-5);
  EXPECT_NEAR(out.seconds, backwards + 1.0 + 0.5 + 1.0, 1e-5);
  double tied = 0.0;
  for (const auto& link : out.links) {
    if (std::max(link.from, link.to) == 2 && std::min(link.from, link.to) == 0) tied += link.bytes;
  }
  EXPECT_DOUBLE_EQ(tied, 2e6);
}

TEST(Simulator, UpdatesOfListsInARowAreCountedApart) {
  const auto once = schedule("1f1b", 3, 5);
  auto four = once;
  for (int i = 0; i < 3; ++i) {
    for (int rank = 0; rank < 3; ++rank) {
      const ActionList& list = once.ranks[rank];
      four.ranks[rank].insert(four.ranks[rank].end(), list.begin(), list.end());
    }
  }
  const auto one = simulate(once, uniform_costs(3), machine_of(3));
  const auto all = simulate(four, uniform_costs(3), machine_of(3));
  EXPECT_EQ(one.updates(), 1);
  EXPECT_EQ(all.updates(), 4);
  EXPECT_NEAR(all.seconds, 4 * one.seconds, 1e-9);
  EXPECT_NEAR(all.seconds_per_update(), one.seconds_per_update(), 1e-9);
  EXPECT_NEAR(all.idle_share(1), one.idle_share(1), 1e-9);
}

TEST(Simulator, ActionsOfARankFollowEachOther) {
  const auto steps = schedule("1f1b", 5, 12);
  SimulationCosts costs = uniform_costs(5, 1e5);
  for (auto& boundary : costs.boundaries) boundary.encode = boundary.decode_gradient = 0.01;
  const auto out = simulate(steps, costs, machine_of(5, 3e6, 1e-3, false), true);
  const auto again = simulate(steps, costs, machine_of(5, 3e6, 1e-3, false), true);
  for (int rank = 0; rank < 5; ++rank) {
    double last = 0.0;
    double waited = 0.0;
    for (std::size_t i = 0; i < out.ranks[rank].actions.size(); ++i) {
      const SimulatedAction& action = out.ranks[rank].actions[i];
      EXPECT_EQ(action.start, last);
      EXPECT_LE(action.start + action.waited, action.end + 1e-12);
      EXPECT_EQ(action.end, again.ranks[rank].actions[i].end);
      last = action.end;
      waited += action.waited;
    }
    EXPECT_NEAR(last, waited + out.ranks[rank].busy(), 1e-9);
  }
}

}  // namespace
}  // namespace strait::pipeline
