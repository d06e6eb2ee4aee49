// Lists of stages with replicas: proven for many shapes, and what the verifier finds in broken ones.
#include "strait/pipeline/verifier.hpp"

#include "support/replica_shapes.hpp"
#include "support/schedule_times.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace strait::pipeline {
namespace {

using enum ActionKind;
using test::for_each_shape;

TEST(Placement, NumbersRanksStageByStage) {
  const std::vector<int> replicas = {3, 2, 1};
  const Placement placement{.stages = 3, .chunks = 1, .replicas = replicas};
  EXPECT_EQ(placement.ranks(), 6);
  const int stages[] = {0, 0, 0, 1, 1, 2}, numbers[] = {0, 1, 2, 0, 1, 0};
  for (int rank = 0; rank < 6; ++rank) {
    EXPECT_EQ(placement.stage_of(rank), stages[rank]);
    EXPECT_EQ(placement.replica_of(rank), numbers[rank]);
    EXPECT_EQ(placement.rank_of(stages[rank], numbers[rank]), rank);
  }
  EXPECT_EQ(placement.rank_for(0, 4), 1);
  EXPECT_EQ(placement.rank_for(1, 4), 3);
  EXPECT_EQ(placement.rank_for(2, 4), 5);
}

TEST(ReplicaSchedule, IsProvenForEveryShape) {
  for (int stages = 1; stages <= 4; ++stages) {
    for_each_shape(stages, stages <= 3 ? 4 : 3, [&](const std::vector<int>& replicas) {
      const int most = *std::max_element(replicas.begin(), replicas.end());
      for (const int micro_batches : {most, most + 1, 7, 12}) {
        if (micro_batches < most) continue;
        const ScheduleOptions options{.tied_embeddings = replicas.front() == replicas.back(),
                                      .replicas = replicas};
        for (const char* name : {"gpipe", "1f1b", "zb-h1"}) {
          ASSERT_EQ(verify(schedule(name, stages, micro_batches, options)).problem, "") << fmt::format(
              "{}, replicas {}, {} micro-batches", name, fmt::join(replicas, "-"), micro_batches);
        }
        ASSERT_EQ(verify(evaluation_schedule(stages, micro_batches, options)).problem, "");
      }
      ASSERT_EQ(verify(next_token_schedule(stages, {.replicas = replicas})).problem, "");
    });
  }
}

TEST(ReplicaSchedule, IsProvenWithChunks) {
  for (int stages = 2; stages <= 4; ++stages) {
    for (int number = 2; number <= 3; ++number) {
      for (int micro_batches = number; micro_batches <= 13; ++micro_batches) {
        const ScheduleOptions options{
            .tied_embeddings = true, .chunks = 2, .replicas = std::vector<int>(stages, number)};
        ASSERT_EQ(verify(schedule("interleaved", stages, micro_batches, options)).problem, "")
            << fmt::format("{} stages, {} replicas, {} micro-batches", stages, number, micro_batches);
      }
    }
  }
}

/// Whole pipelines beside each other: each has its share of the micro-batches.
TEST(ReplicaSchedule, AlikeStagesIdleAsOnePipelineOfTheirShare) {
  for (const char* name : {"gpipe", "1f1b", "zb-h1"}) {
    const Schedule beside = schedule(name, 4, 24, {.replicas = {3, 3, 3, 3}});
    EXPECT_EQ(test::makespan(beside, {}), test::makespan(schedule(name, 4, 8), {})) << name;
  }
}

TEST(ReplicaSchedule, OneReplicaOfEachChangesNothing) {
  EXPECT_EQ(schedule("1f1b", 3, 5, {.replicas = {1, 1, 1}}).ranks, schedule("1f1b", 3, 5).ranks);
}

class ReplicaFaults : public ::testing::Test {
 protected:
  Schedule schedule_ = schedule("1f1b", 2, 4, {.replicas = {2, 1}});
  ActionList& second() { return schedule_.ranks[1]; }  ///< the other replica of the first stage
  std::string problem() const { return verify(schedule_).problem; }

  static int find(const ActionList& list, ActionKind kind, int micro_batch = -1) {
    const auto found = std::find_if(list.begin(), list.end(), [&](const Action& action) {
      return action.kind == kind && (micro_batch < 0 || action.micro_batch == micro_batch);
    });
    EXPECT_NE(found, list.end());
    return static_cast<int>(found - list.begin());
  }
};

TEST_F(ReplicaFaults, AMicroBatchOfAnotherReplicaIsFound) {
  second()[find(second(), forward, 1)].micro_batch = 2;
  EXPECT_EQ(problem(), "rank 1: forward of micro-batch 2: another replica runs it");
}

TEST_F(ReplicaFaults, AMissingSumIsFound) {
  second().erase(second().begin() + find(second(), all_reduce));
  EXPECT_EQ(problem(), "rank 1: step: the replicas have not added up");
}

TEST_F(ReplicaFaults, ASumOfHalfTheGradientsIsFound) {
  const Action early = second()[find(second(), all_reduce)];
  second().erase(second().begin() + find(second(), all_reduce));
  second().insert(second().begin() + find(second(), backward, 3), early);
  EXPECT_EQ(problem(), "rank 1: all_reduce: gradients are not complete");
}

TEST_F(ReplicaFaults, GradientsThatGoOutTooEarlyAreFound) {
  const Action early = second()[find(second(), begin_all_reduce)];
  second().erase(second().begin() + find(second(), begin_all_reduce));
  second().insert(second().begin() + find(second(), backward, 1), early);
  EXPECT_EQ(problem(), "rank 1: begin_all_reduce: more than the last backward come after it");
}

TEST_F(ReplicaFaults, AMessageToTheWrongReplicaIsFound) {
  ActionList& last = schedule_.ranks[2];
  last[find(last, send_backward, 1)].peer = 0;
  EXPECT_EQ(problem(),
            "rank 2: send_backward of micro-batch 1 at boundary 0: the other side is another rank");
}

TEST_F(ReplicaFaults, AReplicaThatNobodySynchronisesIsFound) {
  ActionList& last = schedule_.ranks[2];
  const auto found = std::find_if(last.begin(), last.end(), [](const Action& action) {
    return action.kind == codec_sync_up && action.peer == 1;
  });
  ASSERT_NE(found, last.end());
  last.erase(found);
  EXPECT_EQ(problem(), "rank 2: not each boundary synchronises once");
}

TEST_F(ReplicaFaults, ASumWithoutOtherReplicasIsFound) {
  ActionList& last = schedule_.ranks[2];
  last.insert(last.begin() + find(last, norm_reduce), Action{.kind = all_reduce});
  EXPECT_EQ(problem(), "rank 2: all_reduce: its stage has no other replica");
}

}  // namespace
}  // namespace strait::pipeline
