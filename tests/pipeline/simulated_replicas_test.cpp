// The simulator with replicated stages, against schedules small enough to work out by hand, and the planner's
// prediction against the simulator.

#include "strait/pipeline/planner.hpp"
#include "strait/pipeline/simulation_costs.hpp"

#include "support/codec_decks.hpp"
#include "support/idle_share.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <random>

namespace strait::test {
namespace {

using pipeline::BoundaryCosts;
using pipeline::Machine;
using pipeline::ReplicaPart;
using pipeline::schedule;
using pipeline::simulate;
using pipeline::SimulationCosts;
using pipeline::StageCosts;

constexpr double infinite = std::numeric_limits<double>::infinity();
constexpr double second = 8e6;  // bit/s: a second for a megabyte
constexpr double mega = 1e6;

Machine machine_of(int ranks, double bandwidth = infinite, double latency = 0.0, bool duplex = true) {
  Machine machine;
  machine.levels = {{.components = ranks, .bandwidth = bandwidth, .latency = latency, .duplex = duplex}};
  return machine;
}

Machine two_levels(int inner, int outer, double inner_bandwidth, double outer_bandwidth) {
  Machine machine;
  machine.levels = {{.components = inner, .bandwidth = inner_bandwidth},
                    {.components = outer, .bandwidth = outer_bandwidth}};
  return machine;
}

/// Forward 1, backward 2; gradients of one megabyte that go out at the end.
SimulationCosts one_stage(std::vector<ReplicaPart> sums = {{.bytes = mega}}) {
  return {
      .stages = {{.forward = 1.0, .backward_input = 1.25, .backward_weight = 0.75, .sums = std::move(sums)}},
      .boundaries = {}};
}

pipeline::Schedule replicated(const char* name, const std::vector<int>& replicas, int micro_batches) {
  return schedule(name, static_cast<int>(replicas.size()), micro_batches, {.replicas = replicas});
}

TEST(SimulatedReplicas, ShareTheMicroBatches) {
  for (const int micro_batches : {4, 6, 7}) {
    for (const int replicas : {1, 2, 4}) {
      const auto out =
          simulate(replicated("1f1b", {replicas}, micro_batches), one_stage(), machine_of(replicas));
      EXPECT_DOUBLE_EQ(out.seconds, 3.0 * ((micro_batches + replicas - 1) / replicas));
    }
  }
}

TEST(SimulatedReplicas, SumsTakeTwiceTheOthersShareOfTheBytes) {
  for (const int replicas : {2, 3, 8}) {
    for (const bool duplex : {true, false}) {
      const auto out = simulate(replicated("gpipe", {replicas}, 2 * replicas), one_stage(),
                                machine_of(replicas, second, 0.125, duplex), true);
      const double share = 2.0 * (replicas - 1) / replicas;
      const double sum = share * (duplex ? 1.0 : 2.0) + 2 * 0.125;
      EXPECT_NEAR(out.seconds, 6.0 + sum + 0.125 * std::ceil(std::log2(replicas)), 1e-12);
      ASSERT_EQ(out.links.size(), static_cast<std::size_t>(replicas));
      for (const auto& link : out.links) EXPECT_DOUBLE_EQ(link.bytes, share * mega);
    }
  }
}

TEST(SimulatedReplicas, PartsCrossWhileTheLastBackwardGoesOn) {
  // Three parts of half a second each, two replicas: the first is complete when 1.5 s of the last backward
  // are left and has crossed when 1 s is; the second comes at 0.25 s and has crossed 0.25 s after the end;
  // the third goes out behind it.
  const std::vector<ReplicaPart> parts = {{.bytes = mega / 2, .left_of_backward = 1.5},
                                          {.bytes = mega / 2, .left_of_backward = 0.25},
                                          {.bytes = mega / 2}};
  const auto out = simulate(replicated("1f1b", {2}, 4), one_stage(parts), machine_of(2, second), true);
  EXPECT_NEAR(out.seconds, 6.0 + 0.25 + 0.5, 1e-12);
  // All before the end, but the last.
  const std::vector<ReplicaPart> early = {{.bytes = mega, .left_of_backward = 1.5}, {.bytes = mega / 4}};
  EXPECT_NEAR(simulate(replicated("1f1b", {2}, 4), one_stage(early), machine_of(2, second)).seconds, 6.25,
              1e-12);
  const std::vector<ReplicaPart> all = {{.bytes = mega, .left_of_backward = 1.5}};
  EXPECT_NEAR(simulate(replicated("1f1b", {2}, 4), one_stage(all), machine_of(2, second)).seconds, 6.0,
              1e-12);
  // A replica with fewer micro-batches waits for the other's part.
  EXPECT_NEAR(simulate(replicated("1f1b", {2}, 3), one_stage(early), machine_of(2, second)).seconds, 6.25,
              1e-12);
  // On ranks of half the speed twice as much time is left.
  Machine slow = machine_of(2, second);
  slow.speed = {0.5, 0.5};
  const std::vector<ReplicaPart> wide = {{.bytes = 3 * mega, .left_of_backward = 1.5}};
  EXPECT_NEAR(simulate(replicated("1f1b", {2}, 4), one_stage(wide), slow).seconds, 12.0, 1e-12);
  EXPECT_NEAR(simulate(replicated("1f1b", {2}, 4), one_stage(wide), machine_of(2, second)).seconds, 7.5,
              1e-12);
}

TEST(SimulatedReplicas, SplitBackwardsGiveTheirPartsInTheWeightsHalf) {
  std::vector<ReplicaPart> parts = {{.bytes = mega, .left_of_backward = 1.5, .left_of_weights = 0.5}};
  const auto seconds = [&] {
    return simulate(replicated("zb-h1", {2}, 4), one_stage(parts), machine_of(2, second)).seconds;
  };
  EXPECT_NEAR(seconds(), 6.0 + 0.5, 1e-12);
  parts[0].left_of_weights.reset();
  EXPECT_NEAR(seconds(), 6.0 + 1.0, 1e-12);
}

TEST(SimulatedReplicas, OfOneGroupShareItsUplink) {
  // Four replicas in two pairs: each of a pair exchanges a quarter of the vector with both of the other pair,
  // there and back. Within a pair nothing is in the way.
  const auto across = simulate(replicated("gpipe", {4}, 4), one_stage(), two_levels(2, 2, infinite, second));
  EXPECT_NEAR(across.seconds, 3.0 + 2.0 * 2 * 2 / 4, 1e-12);
  const auto within = simulate(replicated("gpipe", {4}, 4), one_stage(), two_levels(4, 1, second, second));
  EXPECT_NEAR(within.seconds, 3.0 + 1.5, 1e-12);
  // The busier of two unequal groups counts: of three, one is on the first node and two on the second.
  SimulationCosts costs = one_stage();
  costs.stages.insert(costs.stages.begin(), StageCosts{});
  costs.boundaries.resize(1);
  const auto apart = simulate(replicated("gpipe", {1, 3}, 3), costs, two_levels(2, 2, infinite, second));
  EXPECT_NEAR(apart.seconds, 3.0 + 2.0 * 2 / 3, 1e-12);
}

TEST(SimulatedReplicas, MessagesShareTheLinkOfTheStageWithFewerRanks) {
  // A first stage of no time sends four messages of a second to one that takes none either.
  const auto last_forward = [](const std::vector<int>& replicas, const Machine& machine) {
    SimulationCosts costs{.stages = std::vector<StageCosts>(2),
                          .boundaries = {BoundaryCosts{.bytes_forward = mega}}};
    return simulate(replicated("gpipe", replicas, 4), costs, machine).seconds;
  };
  EXPECT_NEAR(last_forward({1, 1}, machine_of(2, second)), 4.0, 1e-12);
  EXPECT_NEAR(last_forward({2, 1}, machine_of(3, second)), 4.0, 1e-12);
  EXPECT_NEAR(last_forward({1, 2}, machine_of(3, second)), 4.0, 1e-12);
  EXPECT_NEAR(last_forward({2, 2}, machine_of(4, second)), 2.0, 1e-12);
  EXPECT_NEAR(last_forward({4, 2}, machine_of(6, second)), 2.0, 1e-12);
  // Stages on two nodes share what joins the nodes.
  EXPECT_NEAR(last_forward({2, 2}, two_levels(2, 2, infinite, second)), 4.0, 1e-12);
  EXPECT_NEAR(last_forward({2, 2}, two_levels(4, 1, second, 1.0)), 2.0, 1e-12);
}

TEST(SimulatedReplicas, BuffersBelongToARankNotToAPair) {
  // One rank feeds two that are slow: its two buffers and two at each of them hold six messages.
  SimulationCosts costs{.stages = std::vector<StageCosts>(2),
                        .boundaries = {BoundaryCosts{.bytes_forward = 1.0}}};
  costs.stages[1].forward = 100.0;
  const auto steps = replicated("gpipe", {1, 2}, 12);
  const auto out = simulate(steps, costs, machine_of(3), true);
  std::vector<double> waits;
  for (std::size_t i = 0; i < steps.ranks[0].size(); ++i) {
    if (steps.ranks[0][i].kind == pipeline::ActionKind::send_forward) {
      waits.push_back(out.ranks[0].actions[i].waited);
    }
  }
  ASSERT_EQ(waits.size(), 12u);
  // Each reads its first message at once, which frees a buffer.
  for (int b = 0; b < 8; ++b) EXPECT_EQ(waits[b], 0.0) << b;
  EXPECT_EQ(waits[8], 100.0);
}

TEST(SimulatedReplicas, EveryShapeOfEveryScheduleComesToItsEnd) {
  for (const char* name : {"gpipe", "1f1b", "zb-h1", "interleaved"}) {
    const bool chunks = std::string(name) == "interleaved";
    for (const std::vector<int>& replicas :
         std::vector<std::vector<int>>{{2, 1}, {1, 2}, {3, 2}, {2, 2}, {3, 2, 1}}) {
      if (chunks && replicas.front() != replicas.back()) continue;
      const int stages = static_cast<int>(replicas.size()), all = stages * (chunks ? 2 : 1);
      const auto steps = schedule(name, stages, 7, {.chunks = chunks ? 2 : 1, .replicas = replicas});
      SimulationCosts costs{.stages = std::vector<StageCosts>(all, one_stage().stages[0]),
                            .boundaries = std::vector<BoundaryCosts>(all - 1, {.encode = 0.01,
                                                                               .bytes_forward = 1e4,
                                                                               .bytes_backward = 2e4,
                                                                               .bytes_sync_up = 3e4,
                                                                               .bytes_sync_down = 4e4})};
      const int ranks = std::accumulate(replicas.begin(), replicas.end(), 0);
      const auto out = simulate(steps, costs, machine_of(ranks, second, 1e-3, false), true);
      for (int rank = 0; rank < ranks; ++rank) {
        double waited = 0.0;
        for (const auto& action : out.ranks[rank].actions) waited += action.waited;
        EXPECT_NEAR(out.ranks[rank].actions.back().end, waited + out.ranks[rank].busy(), 1e-9) << name;
      }
    }
  }
}

TEST(SimulatedReplicas, CostsAreThePartsOfTheExecutor) {
  const auto codec = codec_of<float>("name = 'mapl'\nrank = 4\nprojector_interval = 2");
  const PipelineCase c{.stages = 2, .micro_batches = 4, .layers = 5, .split = {3, 2}, .replicas = {2, 2}};
  const auto setup = setup_of(c);
  const pipeline::Profile profile = equal_layers(5, 1.0, 2.0, 3.0);
  const auto costs = pipeline::simulation_costs<float>(profile, setup, *codec);
  const ExecutionSpace exec;
  pipeline::Pipeline<float> run(exec, setup, *codec);
  run.step(step_info(0), tokens_of_step(exec, setup.model.vocab, 0));
  for (int stage = 0; stage < 2; ++stage) {
    double bytes = 0.0;
    for (const ReplicaPart& part : costs.stages[stage].sums) bytes += part.bytes;
    EXPECT_EQ(bytes, static_cast<double>(run.executors()[2 * stage]->take_statistics().sent.replicas))
        << stage;
  }
  // The last of three blocks is complete while two are left.
  EXPECT_EQ(costs.stages[0].sums[0].left_of_backward, 10.0);
  EXPECT_EQ(costs.stages[0].sums[0].left_of_weights, 6.0);
  EXPECT_EQ(costs.stages[0].sums[2].left_of_backward, 0.0);
  EXPECT_EQ(costs.stages[0].sums[3].left_of_backward, std::nullopt);
  EXPECT_EQ(costs.stages[1].sums[0].left_of_backward, 5.0);
  EXPECT_EQ(costs.stages[1].sums[0].left_of_weights, 3.0);
  EXPECT_EQ(costs.stages[1].sums[1].left_of_backward, 0.0);
}

/// The costs of a plan's stages, whose layers' gradients go out one by one.
SimulationCosts costs_of(const pipeline::PlanTask& task, const pipeline::Plan& plan) {
  SimulationCosts costs;
  for (const pipeline::PlanStage& stage : plan.stages) {
    StageCosts out;
    double below = 0.0, weights_below = 0.0;
    for (int i = stage.first_layer; i < stage.last_layer; ++i) {
      const pipeline::PlanLayer& layer = task.layers[i];
      out.forward += layer.forward;
      out.backward_input += layer.backward_input;
      out.backward_weight += layer.backward_weight;
      out.update += layer.update;
      out.sums.insert(
          out.sums.begin(),
          {.bytes = layer.parameter_bytes, .left_of_backward = below, .left_of_weights = weights_below});
      below += layer.backward_input + layer.backward_weight;
      weights_below += layer.backward_weight;
    }
    costs.stages.push_back(out);
    if (&stage == &plan.stages.back()) break;
    const pipeline::PlanLayer& last = task.layers[stage.last_layer - 1];
    costs.boundaries.push_back({.bytes_forward = last.bytes_forward, .bytes_backward = last.bytes_backward});
  }
  return costs;
}

TEST(PlannedReplicas, TakeAsLongAsSimulatedOnes) {
  std::mt19937 random(1);
  const auto between = [&](double low, double high) {
    return std::uniform_real_distribution<double>(low, high)(random);
  };
  for (int i = 0; i < 60; ++i) {
    pipeline::PlanTask task;
    const double weights = between(0.02, 2.0), message = between(1e-3, 0.05);
    task.layers.assign(8, {.forward = 1.0,
                           .backward_input = 1.0,
                           .backward_weight = 1.0,
                           .update = 0.1,
                           .parameter_bytes = weights * mega,
                           .bytes_forward = message * mega,
                           .bytes_backward = message * mega});
    task.schedule = std::vector<std::string>{"gpipe", "1f1b", "zb-h1"}[i % 3];
    task.micro_batches = 12;
    for (const std::vector<int>& replicas :
         std::vector<std::vector<int>>{{1}, {2}, {4}, {2, 2}, {2, 1}, {3, 3}}) {
      const int ranks = std::accumulate(replicas.begin(), replicas.end(), 0);
      task.machine = machine_of(ranks, second, 1e-3, i % 2 == 0);
      const auto plan = pipeline::cut_layers(task, replicas);
      const auto simulated = simulate(replicated(task.schedule.c_str(), replicas, task.micro_batches),
                                      costs_of(task, plan), task.machine);
      EXPECT_NEAR(plan.seconds_per_step / simulated.seconds, 1.0, 0.1)
          << task.schedule << " " << replicas.size() << " " << ranks << " " << weights << " " << message;
    }
  }
}

}  // namespace
}  // namespace strait::test
