#include "strait/pipeline/verifier.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace strait::pipeline {
namespace {

using enum ActionKind;

int find(const ActionList& list, ActionKind kind, int micro_batch = -1) {
  const auto found = std::find_if(list.begin(), list.end(), [&](const Action& action) {
    return action.kind == kind && (micro_batch < 0 || action.micro_batch == micro_batch);
  });
  EXPECT_NE(found, list.end());
  return static_cast<int>(found - list.begin());
}

TEST(Verifier, ProvesEverySchedule) {
  for (int stages = 1; stages <= 9; ++stages) {
    for (int micro_batches = 1; micro_batches <= 20; ++micro_batches) {
      for (const bool tied : {false, true}) {
        const ScheduleOptions options{.tied_embeddings = tied};
        const Verification gpipe = verify(schedule("gpipe", stages, micro_batches, options));
        ASSERT_EQ(gpipe.problem, "") << stages << " stages, " << micro_batches << " micro-batches";
        const Verification one = verify(schedule("1f1b", stages, micro_batches, options));
        ASSERT_EQ(one.problem, "") << stages << " stages, " << micro_batches << " micro-batches";
        for (int rank = 0; rank < stages; ++rank) {
          EXPECT_EQ(gpipe.slots[rank], std::vector<int>{micro_batches});
          EXPECT_EQ(one.slots[rank], std::vector<int>{std::min(stages - rank, micro_batches)});
        }
      }
      const Verification evaluation = verify(evaluation_schedule(stages, micro_batches));
      ASSERT_EQ(evaluation.problem, "");
      EXPECT_EQ(evaluation.slots[0], std::vector<int>{1});
    }
    EXPECT_EQ(verify(next_token_schedule(stages)).problem, "");
  }
}

TEST(Schedule, OneForwardOneBackwardAlternatesAfterItsWarmUp) {
  const Schedule s = schedule("1f1b", 4, 6);
  std::string order;
  for (const Action& action : s.ranks[1]) {
    if (action.kind == forward) order += fmt::format("F{} ", action.micro_batch);
    if (action.kind == backward) order += fmt::format("B{} ", action.micro_batch);
  }
  EXPECT_EQ(order, "F0 F1 F2 B0 F3 B1 F4 B2 F5 B3 B4 B5 ");
}

TEST(Schedule, EveryRankEndsWithTheSameReductionAndStep) {
  const Schedule s = schedule("gpipe", 3, 2, {.tied_embeddings = true});
  for (int rank = 0; rank < 3; ++rank) {
    EXPECT_LT(find(s.ranks[rank], codec_sync_up), find(s.ranks[rank], norm_reduce));
    EXPECT_LT(find(s.ranks[rank], norm_reduce), find(s.ranks[rank], step));
    EXPECT_LT(find(s.ranks[rank], step), find(s.ranks[rank], codec_sync_down));
    const bool reduces = std::any_of(s.ranks[rank].begin(), s.ranks[rank].end(),
                                     [](const Action& action) { return action.kind == tied_reduce; });
    EXPECT_EQ(reduces, rank != 1);
  }
}

class Faults : public ::testing::Test {
 protected:
  Schedule schedule_ = schedule("1f1b", 3, 4, {.tied_embeddings = true});
  ActionList& middle() { return schedule_.ranks[1]; }
  std::string problem() const { return verify(schedule_).problem; }
};

TEST_F(Faults, AMissingReceiveIsFound) {
  middle().erase(middle().begin() + find(middle(), receive_forward, 2));
  EXPECT_EQ(problem(), "rank 1: forward of micro-batch 2: its input has not arrived");
}

TEST_F(Faults, AMissingSendIsFound) {
  middle().erase(middle().begin() + find(middle(), send_backward, 3));
  EXPECT_EQ(problem(), "rank 1: chunk 0 does not finish micro-batch 3");
}

TEST_F(Faults, ARepeatedForwardIsFound) {
  const int at = find(middle(), forward, 1);
  middle().insert(middle().begin() + at, Action(middle()[at]));
  EXPECT_EQ(problem(), "rank 1: forward of micro-batch 1: it happens twice");
}

TEST_F(Faults, ABackwardBeforeItsGradientIsFound) {
  std::swap(middle()[find(middle(), receive_backward, 0)], middle()[find(middle(), backward, 0)]);
  EXPECT_EQ(problem(), "rank 1: backward of micro-batch 0: its gradient is not there");
}

TEST_F(Faults, AnOverwrittenGradientIsFound) {
  const int at = find(middle(), receive_backward, 1);
  const Action early = middle()[at];
  middle().erase(middle().begin() + at);
  middle().insert(middle().begin() + find(middle(), backward, 0), early);
  EXPECT_EQ(problem(),
            "rank 1: receive_backward of micro-batch 1 at boundary 1: another gradient still waits for its "
            "backward");
}

TEST_F(Faults, MessagesInAnotherOrderAreFound) {
  for (Action& action : schedule_.ranks[0]) {
    const bool sends = action.kind == forward || action.kind == send_forward;
    if (sends && action.micro_batch < 2) {
      action.micro_batch = 1 - action.micro_batch;
      action.slot = 1 - action.slot;
    }
  }
  EXPECT_EQ(problem(),
            "rank 1: receive_forward of micro-batch 0 at boundary 0: another micro-batch was sent first");
}

TEST_F(Faults, ASharedSlotIsFound) {
  for (Action& action : schedule_.ranks[0]) action.slot = 0;
  EXPECT_EQ(problem(), "rank 0: forward of micro-batch 1: another micro-batch is in its slot");
}

TEST_F(Faults, WeightsThatDoNotExistAreFound) {
  middle()[find(middle(), forward, 0)].version = 1;
  EXPECT_EQ(problem(), "rank 1: forward of micro-batch 0: its weights do not exist yet");
}

TEST_F(Faults, AStepBetweenForwardAndBackwardNeedsTheOldWeights) {
  middle().insert(middle().begin() + find(middle(), backward, 1), Action{.kind = step});
  EXPECT_EQ(problem(), "") << "the backward still names version 0";
  middle()[find(middle(), backward, 1)].version = 1;
  EXPECT_EQ(problem(), "rank 1: backward of micro-batch 1: its forward used other weights");
}

TEST_F(Faults, ACircleOfWaitsIsFound) {
  // The last stage waits for a message that the first sends after a reduction with the last.
  Schedule two = schedule("gpipe", 2, 1);
  ActionList& last = two.ranks[1];
  std::swap(last[find(last, norm_reduce)], last[find(last, codec_sync_down)]);
  EXPECT_EQ(verify(two).problem, "rank 0: norm_reduce: waits for ever");
}

TEST_F(Faults, AWrongPeerIsFound) {
  middle()[find(middle(), send_forward, 0)].peer = 0;
  EXPECT_EQ(problem(), "rank 1: send_forward of micro-batch 0 at boundary 1: the other side is another rank");
}

TEST_F(Faults, GradientsThatNoStepUsesAreFound) {
  ActionList& list = schedule_.ranks[2];
  const Action early = list[find(list, step)];
  list.erase(list.begin() + find(list, step));
  list.insert(list.begin() + find(list, backward, 2), early);
  EXPECT_EQ(problem(), "rank 2: no step uses the last gradients of chunk 0");
}

}  // namespace
}  // namespace strait::pipeline
