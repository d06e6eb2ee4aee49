#include "strait/pipeline/asynchronous.hpp"
#include "strait/pipeline/verifier.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace strait::pipeline {
namespace {

using enum ActionKind;

AsynchronousRun pipedream(int stages, std::int64_t steps, const char* versions = "stash") {
  return asynchronous_run("pipedream", versions, stages, 1, steps);
}

Schedule whole(const AsynchronousRun& run) { return asynchronous_schedule(run, run.rule.origin, run.steps); }

std::string order(const ActionList& list) {
  std::string text;
  for (const Action& action : list) {
    if (action.kind == forward) text += fmt::format("F{} ", action.micro_batch);
    if (action.kind == backward) text += fmt::format("B{} ", action.micro_batch);
    if (action.kind == step) text += "U ";
  }
  return text;
}

TEST(AsynchronousSchedule, IsProvenForEveryRule) {
  for (int stages = 1; stages <= 8; ++stages) {
    for (const char* versions : {"stash", "vertical-sync", "none"}) {
      for (std::int64_t steps = 1; steps <= 20; ++steps) {
        const Verification found = verify(whole(pipedream(stages, steps, versions)));
        ASSERT_EQ(found.problem, "") << versions << ", " << stages << " stages, " << steps << " updates";
        for (int rank = 0; rank < stages; ++rank) {
          EXPECT_EQ(found.slots[rank][0], std::min<std::int64_t>(stages - rank, steps));
        }
      }
    }
    for (int micro_batches = stages; micro_batches <= stages + 5; ++micro_batches) {
      for (std::int64_t steps = 1; steps <= 5; ++steps) {
        const auto run = asynchronous_run("2bw", "stash", stages, micro_batches, steps);
        const Verification found = verify(whole(run));
        ASSERT_EQ(found.problem, "") << stages << " stages, " << micro_batches << " micro-batches, " << steps;
        EXPECT_EQ(found.slots[0][0], stages);
      }
    }
  }
}

TEST(AsynchronousSchedule, BeginsEmptyWhereverTheRunBegins) {
  AsynchronousRun run = pipedream(4, 17);
  run.rule.origin = 6;
  EXPECT_EQ(verify(whole(run)).problem, "");
}

TEST(AsynchronousSchedule, AlternatesWithoutAFlush) {
  const Schedule s = whole(pipedream(3, 5));
  EXPECT_EQ(order(s.ranks[0]), "F0 F1 F2 B0 U F3 B1 U F4 B2 U B3 U B4 U ");
  EXPECT_EQ(order(s.ranks[1]), "F0 F1 B0 U F2 B1 U F3 B2 U F4 B3 U B4 U ");
  EXPECT_EQ(order(s.ranks[2]), "F0 B0 U F1 B1 U F2 B2 U F3 B3 U F4 B4 U ");
  const Schedule twice = whole(asynchronous_run("2bw", "stash", 2, 3, 2));
  EXPECT_EQ(order(twice.ranks[0]), "F0 F1 B0 F2 B1 F3 B2 U F4 B3 F5 B4 B5 U ");
  EXPECT_EQ(order(twice.ranks[1]), "F0 B0 F1 B1 F2 B2 U F3 B3 F4 B4 F5 B5 U ");
}

TEST(AsynchronousSchedule, ListsOfUpdatesMakeUpTheRun) {
  const AsynchronousRun run = asynchronous_run("2bw", "stash", 3, 4, 5);
  const Schedule all = whole(run);
  for (int stage = 0; stage < 3; ++stage) {
    ActionList joined;
    for (int step = 0; step < 5; ++step) {
      for (Action action : asynchronous_list(run, stage, step)) {
        if (action.micro_batch >= 0) action.micro_batch += 4 * step;
        action.version += step;
        joined.push_back(action);
      }
    }
    EXPECT_EQ(joined, all.ranks[stage]);
  }
}

TEST(AsynchronousSchedule, ListsRepeatOnceThePipelineIsFull) {
  const AsynchronousRun run = pipedream(4, 100);
  for (int stage = 0; stage < 4; ++stage) {
    EXPECT_EQ(asynchronous_list(run, stage, 24), asynchronous_list(run, stage, 24 + 12 * (4 - stage)));
  }
}

TEST(AsynchronousSchedule, AShortRunShowsAllThatALongOneHas) {
  EXPECT_EQ(shortened(pipedream(4, 1000)).steps, 11);
  EXPECT_EQ(shortened(pipedream(4, 2)).steps, 2);
  const Verification short_run = verify(whole(shortened(pipedream(4, 1000))));
  EXPECT_EQ(short_run.problem, "");
  EXPECT_EQ(short_run.slots, verify(whole(pipedream(4, 60))).slots);
}

class AsynchronousFaults : public ::testing::Test {
 protected:
  Schedule schedule_ = whole(pipedream(3, 6));

  ActionList::iterator find(int rank, ActionKind kind, int micro_batch) {
    return std::find_if(
        schedule_.ranks[rank].begin(), schedule_.ranks[rank].end(),
        [&](const Action& action) { return action.kind == kind && action.micro_batch == micro_batch; });
  }
  std::string problem() const { return verify(schedule_).problem; }
};

TEST_F(AsynchronousFaults, AnotherVersionThanTheRulesIsFound) {
  find(0, backward, 4)->version = 3;
  EXPECT_EQ(problem(), "rank 0: backward of micro-batch 4: the rule says other weights");
}

TEST_F(AsynchronousFaults, AVersionThatIsNoMoreKeptIsFound) {
  find(0, backward, 5)->version = 2;
  EXPECT_EQ(problem(), "rank 0: backward of micro-batch 5: its weights are not kept");
}

TEST_F(AsynchronousFaults, AStepWithTheGradientsOfAnotherIsFound) {
  ActionList& list = schedule_.ranks[2];
  const auto at = std::find_if(list.begin(), list.end(), [](const Action& a) { return a.kind == step; });
  std::rotate(at, at + 2, at + 5);  // with the report behind it
  EXPECT_EQ(problem(), "rank 2: forward of micro-batch 1: its weights do not exist yet");
}

TEST_F(AsynchronousFaults, SynchronisationOutOfItsOrderIsFound) {
  // The second forward message of list 2 arrives before the synchronisation that was sent before it.
  ActionList& list = schedule_.ranks[1];
  const auto sync = std::find_if(list.begin(), list.end(), [](const Action& a) {
    return a.kind == codec_sync_down && a.boundary == 0 && a.version == 0;
  });
  ASSERT_EQ((sync + 1)->kind, receive_forward);
  std::swap(*sync, *(sync + 1));
  EXPECT_EQ(
      problem(),
      "rank 1: receive_forward of micro-batch 3 at boundary 0: a message of another kind was sent first");
}

TEST_F(AsynchronousFaults, AMissingReportIsFound) {
  ActionList& list = schedule_.ranks[1];
  list.erase(std::find_if(list.begin(), list.end(), [](const Action& a) { return a.kind == report; }));
  EXPECT_EQ(problem(), "rank 1: report: it does not follow the last update of its step");
}

}  // namespace
}  // namespace strait::pipeline
