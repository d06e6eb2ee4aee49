// Plans that are known: by hand, from the papers, and how links and codecs change them.
#include "strait/pipeline/planner.hpp"

#include "support/expect_error.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

namespace strait::pipeline {
namespace {

Machine flat(int ranks, double bandwidth, double latency = 0.0, bool duplex = true) {
  Machine machine;
  machine.levels = {{.components = ranks, .bandwidth = bandwidth, .latency = latency, .duplex = duplex}};
  return machine;
}

/// A layer whose messages have `bytes` each way.
PlanLayer layer(double seconds, double weights, double bytes) {
  return {.forward = seconds / 3,
          .backward_input = seconds / 3,
          .backward_weight = seconds / 3,
          .parameter_bytes = weights,
          .state_bytes = 3 * weights,
          .activation_bytes = 4 * bytes,
          .bytes_forward = bytes,
          .bytes_backward = bytes};
}

std::vector<int> replicas_of(const Plan& plan) {
  std::vector<int> replicas;
  for (const PlanStage& stage : plan.stages) replicas.push_back(stage.replicas());
  return replicas;
}

std::vector<int> split_of(const Plan& plan) {
  std::vector<int> split;
  for (const PlanStage& stage : plan.stages) split.push_back(stage.last_layer - stage.first_layer);
  return split;
}

/// VGG16 with micro-batches of 64 images on ranks of 5 TFLOP/s: operations of an image, weights, outputs.
std::vector<PlanLayer> vgg16() {
  constexpr double images = 64, rate = 5e12;
  struct Row {
    double giga_flops, weights, outputs;
  };
  const Row rows[] = {
      {0.17, 1.7e3, 3.2e6},  {3.7, 36.9e3, 8e5},     {1.85, 73.9e3, 1.6e6}, {3.7, 147.6e3, 4e5},
      {1.85, 295e3, 8e5},    {3.7, 590e3, 8e5},      {3.7, 590e3, 2e5},     {1.85, 1.18e6, 4e5},
      {3.7, 2.36e6, 4e5},    {3.7, 2.36e6, 1e5},     {0.92, 2.36e6, 1e5},   {0.92, 2.36e6, 1e5},
      {0.92, 2.36e6, 2.5e4}, {0.206, 102.8e6, 4096}, {0.034, 16.8e6, 4096}, {0.008, 4.1e6, 1000}};
  std::vector<PlanLayer> layers;
  for (const Row& row : rows) {
    layers.push_back(
        layer(3 * images * 1e9 * row.giga_flops / rate, 4 * row.weights, 4 * images * row.outputs));
  }
  return layers;
}

std::vector<PlanLayer> transformer(int layers) {
  return std::vector<PlanLayer>(layers, layer(0.03, 5e7, 1.6e7));
}

TEST(Planner, PricesByHand) {
  PlanTask task;
  task.layers = {layer(3.0, 2e9, 1e9), layer(5.0, 1e9, 1e9)};
  task.layers[0].bytes_backward = 5e8;
  task.boundary = {.sender_seconds = 0.25, .receiver_seconds = 0.5};
  task.machine = flat(2, 8e9, 0.125);
  task.schedule = "1f1b";
  task.micro_batches = 4;

  const Plan two = cut_layers(task, {1, 1});
  EXPECT_DOUBLE_EQ(two.stages[0].busy(), 3.25);
  EXPECT_DOUBLE_EQ(two.stages[1].busy(), 5.5);
  EXPECT_DOUBLE_EQ(two.stages[0].transfer, 1.125);  // the larger of both ways
  EXPECT_DOUBLE_EQ(two.seconds_per_micro_batch, 5.5);
  EXPECT_DOUBLE_EQ(two.seconds_one_micro_batch, 3.25 + 5.5 + 1.75);
  EXPECT_DOUBLE_EQ(two.seconds_per_step, 4 * 5.5 + 3.25 + 1.75);
  EXPECT_EQ(two.stages[0].in_flight, 2);
  EXPECT_DOUBLE_EQ(two.stages[0].memory_bytes, 2e9 + 6e9 + 2 * 4e9);
  EXPECT_EQ(two.micro_batches_in_flight, 2);

  const Plan one = cut_layers(task, {2});
  EXPECT_DOUBLE_EQ(one.stages[0].busy(), 4.0);
  EXPECT_DOUBLE_EQ(one.stages[0].all_reduce, (3.0 + 2 * 0.125) / 4);  // 2 (m - 1) / m of 3 GB at 1 GB/s
  // The second layer's third of the all-reduce hides behind the first one's backward.
  EXPECT_NEAR(one.seconds_per_step, 4 * 4.0 + 3.25 * 2 / 3, 1e-12);
  EXPECT_DOUBLE_EQ(make_plan(task).seconds_per_micro_batch, 4.0);

  task.schedule = "pipedream";
  EXPECT_DOUBLE_EQ(cut_layers(task, {2}).stages[0].all_reduce, (3.0 + 2 * 0.125) / 2);
  EXPECT_EQ(cut_layers(task, {1, 1}).stages[0].versions, 2);
  task.sync = SyncRule::paper;
  EXPECT_DOUBLE_EQ(cut_layers(task, {2}).stages[0].all_reduce, 2 * 3.0 / 2);
  EXPECT_DOUBLE_EQ(cut_layers(task, {1, 1}).stages[0].transfer, 2.0);

  task.sync = SyncRule::ring;
  task.machine = flat(2, 8e9, 0.125, false);
  EXPECT_DOUBLE_EQ(cut_layers(task, {1, 1}).stages[0].transfer, 1.75);
}

TEST(Planner, ReplicatesTheConvolutionsOfVgg16) {
  // 1806.03377, section 5: 7-1 on eight machines, since the dense layers hold most of the weights.
  PlanTask task;
  task.layers = vgg16();
  task.schedule = "pipedream";
  task.machine = flat(8, 1e10);
  task.sync = SyncRule::paper;
  EXPECT_THAT(replicas_of(make_plan(task)), testing::ElementsAre(7, 1));
  EXPECT_EQ(make_plan(task).micro_batches_in_flight, 2);
  task.sync = SyncRule::ring;
  task.machine = flat(8, 1e9);
  const Plan plan = make_plan(task);
  EXPECT_THAT(replicas_of(plan), testing::ElementsAre(7, 1));
  EXPECT_GE(plan.stages[0].last_layer, 13);
  // Against data parallelism, which the all-reduce holds back.
  EXPECT_GT(cut_layers(task, {8}).seconds_per_micro_batch, 2 * plan.seconds_per_micro_batch);
}

TEST(Planner, CutsATransformerStraightOnSlowLinks) {
  PlanTask task;
  task.layers = transformer(16);
  task.schedule = "pipedream";
  task.machine = flat(8, 2.5e9);
  const Plan plan = make_plan(task);
  EXPECT_THAT(replicas_of(plan), testing::Each(1));
  EXPECT_THAT(split_of(plan), testing::Each(2));
}

TEST(Planner, ReplicatesEverythingOnFastLinks) {
  PlanTask task;
  task.layers = transformer(16);
  task.machine = flat(8, 4e12);
  for (const char* schedule : {"pipedream", "1f1b"}) {
    task.schedule = schedule;
    task.micro_batches = 16;
    EXPECT_THAT(replicas_of(make_plan(task)), testing::ElementsAre(8)) << schedule;
  }
}

TEST(Planner, CompressionChangesAPlan) {
  PlanTask task;
  task.layers = std::vector<PlanLayer>(16, layer(0.03, 2e6, 1.6e7));
  task.schedule = "pipedream";
  task.machine = flat(4, 2e8);
  const Plan uncompressed = make_plan(task);
  for (PlanLayer& layer : task.layers) {
    layer.bytes_forward /= 8;
    layer.bytes_backward /= 8;
  }
  task.boundary = {.sender_seconds = 0.002, .receiver_seconds = 0.002};
  const Plan compressed = make_plan(task);
  EXPECT_THAT(replicas_of(uncompressed), testing::ElementsAre(4));
  EXPECT_THAT(replicas_of(compressed), testing::ElementsAre(1, 1, 1, 1));
  EXPECT_LT(compressed.seconds_per_micro_batch, uncompressed.seconds_per_micro_batch);
  // A codec that takes longer than the link saves is not worth its cuts.
  task.boundary = {.sender_seconds = 2.0, .receiver_seconds = 2.0};
  EXPECT_EQ(make_plan(task).stages.size(), 1u);
}

TEST(Planner, MemoryForcesCuts) {
  PlanTask task;
  task.layers = transformer(8);
  task.machine = flat(4, 1e13);
  task.micro_batches = 16;
  EXPECT_EQ(make_plan(task).stages.size(), 1u);
  task.machine.memory_bytes = static_cast<std::int64_t>(1.2 * make_plan(task).stages[0].memory_bytes / 2);
  const Plan plan = make_plan(task);
  EXPECT_GT(plan.stages.size(), 1u);
  for (const auto& stage : plan.stages) EXPECT_LE(stage.memory_bytes, double(task.machine.memory_bytes));
  task.machine.memory_bytes = 1'000'000;
  test::expect_error(ExitCode::deck, "layer 0 alone needs", [&] { make_plan(task); });
  task.machine.memory_bytes = static_cast<std::int64_t>(1.1 * (4 * 5e7 + 6.4e7));
  test::expect_error(ExitCode::deck, "no cut of the 8 layers fits", [&] { make_plan(task); });
}

TEST(Planner, PutsAPipelineInsideEachNode) {
  // Large messages stay on the fast link within a node, weights cross the slow one between the two nodes; a
  // rank has no room for both layers.
  PlanTask task;
  task.layers = std::vector<PlanLayer>(2, layer(1.0, 1e8, 4e9));
  task.schedule = "pipedream";
  task.machine.levels = {{.components = 2, .bandwidth = 8e10}, {.components = 2, .bandwidth = 1e9}};
  task.machine.memory_bytes = 32'600'000'000;
  const Plan plan = make_plan(task);
  ASSERT_EQ(plan.stages.size(), 2u);
  EXPECT_THAT(plan.stages[0].ranks, testing::ElementsAre(0, 2));
  EXPECT_THAT(plan.stages[1].ranks, testing::ElementsAre(1, 3));
}

TEST(Planner, GivenReplicasArePricedLikePlannedOnes) {
  PlanTask task;
  task.layers = transformer(6);
  task.machine.levels = {{.components = 2, .bandwidth = 3e12}, {.components = 3, .bandwidth = 1e12}};
  task.micro_batches = 12;
  for (const char* schedule : {"1f1b", "pipedream"}) {
    task.schedule = schedule;
    const Plan planned = make_plan(task);
    ASSERT_THAT(replicas_of(planned), testing::ElementsAre(6));
    const Plan given = cut_layers(task, {6});
    EXPECT_DOUBLE_EQ(given.stages[0].all_reduce, planned.stages[0].all_reduce);
    EXPECT_DOUBLE_EQ(given.seconds_per_step, planned.seconds_per_step);
  }
}

TEST(Planner, GivesSlowRanksLess) {
  PlanTask task;
  task.layers = transformer(12);
  task.schedule = "pipedream";
  task.machine = flat(3, 2.5e9);
  task.machine.speed = {1.0, 1.0, 0.5};
  EXPECT_THAT(split_of(cut_layers(task, {1, 1, 1})), testing::ElementsAre(5, 5, 2));
}

TEST(Planner, ZeroBubbleStepsAreShorter) {
  PlanTask task;
  task.layers = transformer(8);
  task.machine = flat(4, 1e15);
  task.micro_batches = 8;
  const double third = 2 * 0.03 / 3;  // forward of a stage of two layers, and each half of its backward
  const auto step = [&](const char* schedule) {
    task.schedule = schedule;
    return cut_layers(task, {1, 1, 1, 1}).seconds_per_step;
  };
  EXPECT_NEAR(step("1f1b"), (8 + 3) * 3 * third, 1e-4);
  EXPECT_NEAR(step("zb-h1"), 8 * 3 * third + 3 * third, 1e-4);
  EXPECT_NEAR(step("pipedream"), 8 * 3 * third, 1e-4);
}

TEST(Planner, WeighsTheBottleneckAgainstFilling) {
  // Few micro-batches: a straight pipeline has the least bottleneck, but spends its time filling.
  PlanTask task;
  task.layers = transformer(16);
  for (PlanLayer& layer : task.layers) layer.update = 0.004;
  task.machine = flat(8, 1e12);
  task.micro_batches = 8;
  const Plan busy = make_plan(task), quick = make_plan_for_step(task);
  EXPECT_GT(busy.stages.size(), quick.stages.size());
  EXPECT_LT(quick.seconds_per_step, 0.8 * busy.seconds_per_step);
  task.schedule = "pipedream";
  EXPECT_EQ(make_plan_for_step(task).seconds_per_micro_batch, make_plan(task).seconds_per_micro_batch);
}

TEST(Planner, TakesTableAndHeadWithTheirBlocks) {
  Profile profile;
  for (const double seconds : {1.0, 2.0, 4.0, 8.0}) {
    LayerProfile layer;
    layer.forward.median = seconds;
    layer.parameter_bytes = 10;
    layer.output_bytes = 100;
    profile.layers.push_back(layer);
  }
  const auto layers = plan_layers(profile);
  ASSERT_EQ(layers.size(), 2u);
  EXPECT_EQ(layers[0].forward, 3.0);
  EXPECT_EQ(layers[1].forward, 12.0);
  EXPECT_EQ(layers[0].parameter_bytes, 20.0);
  EXPECT_EQ(layers[0].bytes_forward, 100.0);
  profile.boundary.bytes_forward = 7;
  profile.boundary.bytes_backward = 5;
  EXPECT_EQ(plan_layers(profile)[0].bytes_forward, 7.0);
  EXPECT_EQ(plan_layers(profile)[0].bytes_backward, 5.0);
  profile.layers.erase(profile.layers.begin() + 2);
  EXPECT_EQ(plan_layers(profile).size(), 1u);
  EXPECT_EQ(plan_layers(profile)[0].forward, 1.0 + 2.0 + 8.0);
}

/// The bound is generous: perf/RESULTS.md has what it takes.
TEST(Planner, IsQuickForMachinesOfSize) {
  PlanTask task;
  for (int i = 0; i < 96; ++i) task.layers.push_back(layer(0.03 * (1.0 + 0.1 * (i % 7)), 1e8, 1.6e7));
  task.micro_batches = 512;
  const auto begin = std::chrono::steady_clock::now();
  task.machine = flat(256, 1e11, 1e-5);
  EXPECT_EQ(make_plan(task).ranks(), 256);
  task.machine.levels = {{.components = 8, .bandwidth = 3e12}, {.components = 32, .bandwidth = 1e11}};
  EXPECT_EQ(make_plan(task).ranks(), 256);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(60));
}

}  // namespace
}  // namespace strait::pipeline
