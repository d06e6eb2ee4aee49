// Plans are the best of all: random small tasks against every plan there is.
#include "strait/pipeline/planner.hpp"

#include "support/brute_force_plans.hpp"
#include "support/expect_error.hpp"

#include <gtest/gtest.h>

#include <random>

namespace strait::pipeline {
namespace {

using test::best_price;
using test::PlanPrice;

class RandomTasks {
 public:
  explicit RandomTasks(unsigned seed) : generator_(seed) {}

  double between(double low, double high) {
    return std::uniform_real_distribution<double>(low, high)(generator_);
  }
  int below(int bound) { return std::uniform_int_distribution<int>(0, bound - 1)(generator_); }
  bool coin() { return below(2) == 1; }

  PlanTask task(int layers, const std::vector<int>& components) {
    PlanTask task;
    const char* const schedules[] = {"gpipe", "1f1b", "zb-h1", "pipedream", "2bw"};
    const char* const rules[] = {"stash", "vertical-sync", "none"};
    task.schedule = schedules[below(5)];
    task.weight_versions = rules[below(3)];
    task.micro_batches = 1 + below(12);
    task.sync = below(4) == 0 ? SyncRule::paper : SyncRule::ring;
    for (int i = 0; i < layers; ++i) {
      task.layers.push_back({.forward = between(0.5, 2.0),
                             .backward_input = between(0.5, 2.0),
                             .backward_weight = between(0.5, 2.0),
                             .update = between(0.0, 0.2),
                             .parameter_bytes = between(0.1, 4.0),
                             .state_bytes = between(0.1, 4.0),
                             .activation_bytes = between(0.1, 4.0),
                             .bytes_forward = between(0.1, 2.0),
                             .bytes_backward = between(0.1, 2.0)});
    }
    task.boundary = {.sender_seconds = between(0.0, 0.3),
                     .receiver_seconds = between(0.0, 0.3),
                     .update_seconds = between(0.0, 0.1),
                     .sync_down_bytes = between(0.0, 0.2),
                     .sync_up_bytes = between(0.0, 0.2)};
    for (const int count : components) {
      task.machine.levels.push_back({.components = count,
                                     .bandwidth = 8.0 * std::exp(between(-2.0, 3.0)),
                                     .latency = coin() ? 0.0 : between(0.0, 0.2),
                                     .duplex = coin()});
    }
    return task;
  }

  void limit_memory(PlanTask& task) {
    double all = 0.0;
    for (const PlanLayer& layer : task.layers) {
      all += layer.parameter_bytes + layer.state_bytes + layer.activation_bytes;
    }
    task.machine.memory_bytes = static_cast<std::int64_t>(std::ceil(between(0.3, 2.5) * all));
    task.bfloat16 = task.micro_batches % 2 == 0;
  }

  void vary_speed(PlanTask& task) {
    for (int rank = 0; rank < task.machine.ranks(); ++rank) {
      task.machine.speed.push_back(coin() ? 1.0 : between(0.3, 3.0));
    }
  }

 private:
  std::mt19937 generator_;
};

void expect_proper(const PlanTask& task, const Plan& plan) {
  int layer = 0;
  std::vector<int> ranks;
  for (const PlanStage& stage : plan.stages) {
    EXPECT_EQ(stage.first_layer, layer);
    EXPECT_GT(stage.last_layer, layer);
    layer = stage.last_layer;
    ranks.insert(ranks.end(), stage.ranks.begin(), stage.ranks.end());
    if (task.machine.memory_bytes > 0) {
      EXPECT_LE(stage.memory_bytes, static_cast<double>(task.machine.memory_bytes));
    }
  }
  EXPECT_EQ(layer, static_cast<int>(task.layers.size()));
  std::sort(ranks.begin(), ranks.end());
  ASSERT_EQ(static_cast<int>(ranks.size()), task.machine.ranks());
  for (int rank = 0; rank < task.machine.ranks(); ++rank) EXPECT_EQ(ranks[rank], rank);
}

/// Whether there is a plan at all.
bool expect_best(const PlanTask& task) {
  const PlanPrice best = best_price(task);
  if (std::isinf(best.bottleneck)) {
    test::expect_error(ExitCode::deck, "no plan", [&] { make_plan(task); });
    return false;
  }
  const Plan plan = make_plan(task);
  expect_proper(task, plan);
  EXPECT_NEAR(plan.seconds_per_micro_batch, best.bottleneck, 1e-10 * best.bottleneck);
  EXPECT_NEAR(plan.seconds_one_micro_batch, best.one_micro_batch, 1e-10 * best.one_micro_batch);
  const Plan for_step = make_plan_for_step(task);
  expect_proper(task, for_step);
  EXPECT_LE(for_step.seconds_per_step, plan.seconds_per_step);
  EXPECT_GE(plan.seconds_per_step,
            plan.seconds_per_micro_batch * task.micro_batches * (1.0 - 1e-12) - plan.seconds_one_micro_batch);
  return true;
}

struct Kind {
  const char* name;
  bool memory;
  bool speeds;
};

class PlannerOptimal : public testing::TestWithParam<Kind> {
 protected:
  /// `count` tasks on machines of these levels.
  void run(unsigned seed, int count, int most_layers, const std::vector<std::vector<int>>& machines) {
    RandomTasks random(seed);
    int plans = 0;
    for (int i = 0; i < count; ++i) {
      PlanTask task = random.task(1 + random.below(most_layers), machines[random.below(machines.size())]);
      if (GetParam().memory) random.limit_memory(task);
      if (GetParam().speeds) random.vary_speed(task);
      SCOPED_TRACE(testing::Message()
                   << "task " << i << ": " << task.layers.size() << " layers, schedule " << task.schedule);
      plans += expect_best(task);
      if (HasFailure()) return;
    }
    EXPECT_GT(plans, count / 3);
    if (GetParam().memory) {
      EXPECT_LT(plans, count);
    }
  }
};

TEST_P(PlannerOptimal, OnOneLevel) { run(1, 150, 6, {{1}, {2}, {3}, {4}, {5}, {6}}); }
TEST_P(PlannerOptimal, OnTwoLevels) { run(2, 120, 5, {{2, 2}, {3, 2}, {2, 3}, {3, 3}, {1, 4}, {4, 1}}); }
TEST_P(PlannerOptimal, OnThreeLevels) { run(3, 60, 4, {{2, 2, 2}, {2, 1, 3}, {1, 2, 2}, {2, 3, 2}}); }

INSTANTIATE_TEST_SUITE_P(Kinds, PlannerOptimal,
                         testing::Values(Kind{"Plain", false, false}, Kind{"Memory", true, false},
                                         Kind{"Speeds", false, true}, Kind{"MemoryAndSpeeds", true, true}),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace strait::pipeline
