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
        const Verification split = verify(schedule("zb-h1", stages, micro_batches, options));
        ASSERT_EQ(split.problem, "") << stages << " stages, " << micro_batches << " micro-batches";
      }
    }
    EXPECT_EQ(verify(next_token_schedule(stages)).problem, "");
  }
}

TEST(Verifier, ProvesEveryNumberOfChunks) {
  for (int stages = 2; stages <= 7; ++stages) {
    for (int micro_batches = 1; micro_batches <= 15; ++micro_batches) {
      for (int chunks = 1; chunks <= 4; ++chunks) {
        const ScheduleOptions options{.tied_embeddings = micro_batches % 2 == 0, .chunks = chunks};
        SCOPED_TRACE(fmt::format("{} stages of {}, {} micro-batches", stages, chunks, micro_batches));
        ASSERT_EQ(verify(schedule("interleaved", stages, micro_batches, options)).problem, "");
        const Verification evaluation = verify(evaluation_schedule(stages, micro_batches, options));
        ASSERT_EQ(evaluation.problem, "");
        EXPECT_EQ(evaluation.slots[0], std::vector<int>(chunks, 1));
        ASSERT_EQ(verify(next_token_schedule(stages, options)).problem, "");
      }
    }
  }
}

TEST(Verifier, ProvesEvaluationsOfOneChunk) {
  for (int stages = 1; stages <= 9; ++stages) {
    for (int micro_batches = 1; micro_batches <= 20; ++micro_batches) {
      const Verification evaluation = verify(evaluation_schedule(stages, micro_batches));
      ASSERT_EQ(evaluation.problem, "");
      EXPECT_EQ(evaluation.slots[0], std::vector<int>{1});
    }
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
  // The first stage waits in one reduction, the last in another.
  Schedule two = schedule("gpipe", 2, 1, {.tied_embeddings = true});
  ActionList& last = two.ranks[1];
  std::swap(last[find(last, norm_reduce)], last[find(last, tied_reduce)]);
  EXPECT_EQ(verify(two).problem, "rank 0: tied_reduce: waits for ever");
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

TEST_F(Faults, ABoundaryThatIsNotSynchronisedIsFound) {
  for (int rank : {0, 1}) {
    ActionList& list = schedule_.ranks[rank];
    std::erase_if(list,
                  [](const Action& action) { return action.kind == codec_sync_up && action.boundary == 0; });
  }
  EXPECT_EQ(problem(), "rank 0: not each boundary synchronises once");
}

TEST_F(Faults, ASynchronisationOnTheWrongSideOfTheStepIsFound) {
  std::swap(middle()[find(middle(), step)], middle()[find(middle(), codec_sync_down)]);
  EXPECT_EQ(problem(), "rank 1: codec_sync_down at boundary 1: it comes before the step");
}

TEST_F(Faults, ASynchronisationBeforeTheLastMessageIsFound) {
  const Action early = middle()[find(middle(), codec_sync_up)];
  middle().erase(middle().begin() + find(middle(), codec_sync_up));
  middle().insert(middle().begin() + find(middle(), backward, 3), early);
  EXPECT_EQ(problem(), "rank 1: codec_sync_up at boundary 1: messages of the step come after it");
}

TEST_F(Faults, ATiedTableThatIsNotThereIsFound) {
  ActionList& first = schedule_.ranks[0];
  const int at = find(first, tied_reduce);
  middle().insert(middle().begin() + find(middle(), norm_reduce), first[at]);
  first.erase(first.begin() + at);
  EXPECT_EQ(problem(), "rank 1: tied_reduce: it has no copy");
}

class SplitFaults : public ::testing::Test {
 protected:
  Schedule schedule_ = schedule("zb-h1", 3, 4);
  ActionList& middle() { return schedule_.ranks[1]; }
  std::string problem() const { return verify(schedule_).problem; }
};

TEST_F(SplitFaults, AMissingHalfIsFound) {
  middle().erase(middle().begin() + find(middle(), backward_weight, 2));
  EXPECT_EQ(problem(), "rank 1: chunk 0 does not finish micro-batch 2");
}

TEST_F(SplitFaults, AHalfBeforeItsInputIsFound) {
  const Action half = middle()[find(middle(), backward_weight, 2)];
  middle().erase(middle().begin() + find(middle(), backward_weight, 2));
  middle().insert(middle().begin() + find(middle(), backward_input, 2), half);
  EXPECT_EQ(problem(), "rank 1: backward_weight of micro-batch 2: the input's half comes first");
}

TEST_F(SplitFaults, AHalfBehindTheStepIsFound) {
  const Action half = middle()[find(middle(), backward_weight, 3)];
  middle().erase(middle().begin() + find(middle(), backward_weight, 3));
  middle().insert(middle().begin() + find(middle(), step) + 1, half);
  EXPECT_EQ(problem(), "rank 1: no step uses the last gradients of chunk 0");
}

TEST_F(SplitFaults, ASlotThatIsLeftBeforeTheSecondHalfIsFound) {
  for (Action& action : schedule_.ranks[2]) {
    if (action.slot == 2) action.slot = 0;
  }
  EXPECT_EQ(problem(),
            "rank 2: receive_forward of micro-batch 2 at boundary 1: another micro-batch is in its slot");
}

class ChunkFaults : public ::testing::Test {
 protected:
  Schedule schedule_ = schedule("interleaved", 2, 4, {.tied_embeddings = true, .chunks = 2});
  ActionList& first() { return schedule_.ranks[0]; }
  std::string problem() const { return verify(schedule_).problem; }
};

TEST_F(ChunkFaults, AChunkThatIsNotThereIsFound) {
  first()[find(first(), forward, 2)].chunk = 2;
  EXPECT_EQ(problem(), "rank 0: forward of micro-batch 2: no such chunk");
}

TEST_F(ChunkFaults, AnotherChunksMessageIsFound) {
  for (Action& action : first()) {
    if (action.kind == send_forward) action.boundary = 0;
  }
  EXPECT_EQ(problem(), "rank 0: send_forward of micro-batch 0 at boundary 0: not a boundary of this stage");
}

TEST_F(ChunkFaults, ACircleBetweenChunksIsFound) {
  // The first rank wants its second chunk's input before it has sent what leads there.
  schedule_ = schedule("interleaved", 2, 1, {.chunks = 2});
  const Action late = first()[find(first(), send_forward)];
  first().erase(first().begin() + find(first(), send_forward));
  first().insert(first().begin() + find(first(), receive_forward) + 1, late);
  EXPECT_EQ(problem(), "rank 0: receive_forward of micro-batch 0 at boundary 1: waits for ever");
}

TEST_F(ChunkFaults, ATiedTableOfAChunkThatHasNoneIsFound) {
  first()[find(first(), tied_reduce)].chunk = 1;
  EXPECT_EQ(problem(), "rank 0: tied_reduce: it has no copy");
}

TEST_F(ChunkFaults, AChunkThatSynchronisesOutOfTurnIsFound) {
  ActionList& list = first();
  std::swap(list[find(list, codec_sync_up)], list[find(list, codec_sync_up) + 2]);
  EXPECT_EQ(problem(), "rank 0: codec_sync_up at boundary 1: the boundaries synchronise in another order");
}

}  // namespace
}  // namespace strait::pipeline
