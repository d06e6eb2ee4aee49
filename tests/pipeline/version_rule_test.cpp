#include "strait/pipeline/version_rule.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace strait::pipeline {
namespace {

using enum WeightVersions;

std::vector<std::int64_t> forwards(const VersionRule& rule, int stage, int count) {
  std::vector<std::int64_t> out;
  for (int b = 0; b < count; ++b) out.push_back(rule.forward(stage, b));
  return out;
}

std::vector<std::int64_t> backwards(const VersionRule& rule, int stage, int count) {
  std::vector<std::int64_t> out;
  for (int b = 0; b < count; ++b) out.push_back(rule.backward(stage, b));
  return out;
}

using Versions = std::vector<std::int64_t>;

TEST(VersionRule, StashKeepsTheVersionOfTheForward) {
  const VersionRule rule{.kind = stash, .stages = 4};
  EXPECT_EQ(forwards(rule, 0, 7), (Versions{0, 0, 0, 0, 1, 2, 3}));
  EXPECT_EQ(forwards(rule, 2, 7), (Versions{0, 0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(forwards(rule, 3, 7), (Versions{0, 1, 2, 3, 4, 5, 6}));
  for (int stage = 0; stage < 4; ++stage) {
    EXPECT_EQ(backwards(rule, stage, 20), forwards(rule, stage, 20));
    EXPECT_EQ(rule.copies(stage), 4 - stage);
    EXPECT_EQ(rule.delay(stage), 3 - stage);
  }
}

TEST(VersionRule, VerticalSyncUsesOneVersionOnAllStages) {
  const VersionRule rule{.kind = vertical_sync, .stages = 4};
  for (int stage = 0; stage < 4; ++stage) {
    EXPECT_EQ(forwards(rule, stage, 6), (Versions{0, 0, 0, 0, 1, 2}));
    EXPECT_EQ(backwards(rule, stage, 6), (Versions{0, 0, 0, 0, 1, 2}));
    EXPECT_EQ(rule.copies(stage), 4);
    EXPECT_EQ(rule.delay(stage), 3);
  }
}

TEST(VersionRule, NoneComputesWithTheNewestWeights) {
  const VersionRule rule{.kind = none, .stages = 3};
  EXPECT_EQ(forwards(rule, 0, 5), (Versions{0, 0, 0, 1, 2}));
  EXPECT_EQ(backwards(rule, 0, 5), (Versions{0, 1, 2, 3, 4}));
  EXPECT_EQ(rule.copies(0), 1);
}

TEST(VersionRule, DoubleBuffersAreOneUpdateLate) {
  const VersionRule rule{.kind = double_buffered, .stages = 3, .micro_batches = 4};
  EXPECT_EQ(forwards(rule, 1, 12), (Versions{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1}));
  EXPECT_EQ(backwards(rule, 1, 12), forwards(rule, 1, 12));
  EXPECT_EQ(rule.copies(2), 2);
  EXPECT_EQ(rule.delay(2), 1);
}

TEST(VersionRule, OneStageIsNeverLate) {
  for (const WeightVersions kind : {stash, vertical_sync, none, double_buffered}) {
    const VersionRule rule{.kind = kind, .stages = 1};
    EXPECT_EQ(forwards(rule, 0, 4), (Versions{0, 1, 2, 3}));
    EXPECT_EQ(backwards(rule, 0, 4), (Versions{0, 1, 2, 3}));
    EXPECT_EQ(rule.copies(0), 1);
  }
}

TEST(VersionRule, ReplicasCountTheirOwnUpdates) {
  // 3-2-1: warm-ups floor(5 / 3), floor(2 / 2), 0 in rounds of 3, 2 and 1 micro-batches.
  VersionRule rule{.kind = stash, .stages = 3, .micro_batches = 6, .replicas = {3, 2, 1}};
  EXPECT_EQ(forwards(rule, 0, 13), (Versions{0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 3}));
  EXPECT_EQ(forwards(rule, 1, 9), (Versions{0, 0, 0, 0, 1, 1, 2, 2, 3}));
  EXPECT_EQ(forwards(rule, 2, 4), (Versions{0, 1, 2, 3}));
  EXPECT_EQ(backwards(rule, 0, 13), forwards(rule, 0, 13));
  for (const int stage : {0, 1, 2}) {
    EXPECT_EQ(rule.delay(stage), stage < 2 ? 1 : 0);
    EXPECT_EQ(rule.copies(stage), stage < 2 ? 2 : 1);
  }
  EXPECT_EQ(rule.updates_per_step(0), 2);
  EXPECT_EQ(rule.updates_per_step(1), 3);
  EXPECT_EQ(rule.updates_per_step(2), 6);
  rule.kind = none;
  EXPECT_EQ(forwards(rule, 1, 9), (Versions{0, 0, 0, 0, 1, 1, 2, 2, 3}));
  EXPECT_EQ(backwards(rule, 1, 5), (Versions{0, 0, 1, 1, 2}));
  rule.origin = 2;
  EXPECT_EQ(rule.forward(0, 12), 4);
  EXPECT_EQ(rule.forward(0, 18), 5);
}

TEST(VersionRule, AlikeReplicasShareOneVersionWhereTheySynchroniseVertically) {
  const VersionRule rule{.kind = vertical_sync, .stages = 3, .micro_batches = 2, .replicas = {2, 2, 2}};
  for (int stage = 0; stage < 3; ++stage) {
    EXPECT_EQ(forwards(rule, stage, 9), (Versions{0, 0, 0, 0, 0, 0, 1, 1, 2}));
    EXPECT_EQ(rule.copies(stage), 3);
  }
}

TEST(VersionRule, DoubleBuffersAverageAllMicroBatchesOfAStepWhateverTheReplicas) {
  const VersionRule rule{.kind = double_buffered, .stages = 3, .micro_batches = 6, .replicas = {3, 2, 1}};
  for (int stage = 0; stage < 3; ++stage) {
    EXPECT_EQ(rule.updates_per_step(stage), 1);
    EXPECT_EQ(rule.forward(stage, 11), 0);
    EXPECT_EQ(rule.forward(stage, 12), 1);
  }
}

TEST(VersionRule, ARunThatBeginsLaterHasNoVersionBeforeItsOwn) {
  const VersionRule rule{.kind = stash, .stages = 3, .origin = 5};
  EXPECT_EQ(rule.forward(0, 5), 5);
  EXPECT_EQ(rule.forward(0, 7), 5);
  EXPECT_EQ(rule.forward(0, 8), 6);
  EXPECT_EQ((VersionRule{.kind = none, .stages = 3, .origin = 5}.backward(0, 6)), 6);
}

}  // namespace
}  // namespace strait::pipeline
