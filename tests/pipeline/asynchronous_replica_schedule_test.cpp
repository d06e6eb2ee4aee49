// Asynchronous lists of stages with replicas: proven for many shapes, and what the verifier finds in broken
// ones.
#include "strait/pipeline/asynchronous.hpp"
#include "strait/pipeline/verifier.hpp"

#include "support/replica_shapes.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

namespace strait::pipeline {
namespace {

using enum ActionKind;
using test::for_each_shape;

AsynchronousRun pipedream(const std::vector<int>& replicas, std::int64_t steps,
                          const char* versions = "stash") {
  return asynchronous_run("pipedream", versions, static_cast<int>(replicas.size()),
                          pipedream_micro_batches(replicas), steps, replicas);
}

Schedule whole(const AsynchronousRun& run) { return asynchronous_schedule(run, run.rule.origin, run.steps); }

bool alike(const std::vector<int>& replicas) {
  return std::count(replicas.begin(), replicas.end(), replicas.front()) == std::ssize(replicas);
}

void expect_proven(const AsynchronousRun& run) {
  const Verification found = verify(whole(run));
  ASSERT_EQ(found.problem, "") << fmt::format(
      "{}, {} micro-batches, {} steps", fmt::join(run.rule.replicas, "-"), run.rule.micro_batches, run.steps);
  const Placement placement = run.rule.placement();
  for (int rank = 0; rank < placement.ranks(); ++rank) {
    const int stage = placement.stage_of(rank);
    const std::int64_t passes = run.steps * run.passes_per_step(stage);
    EXPECT_EQ(found.slots[rank][0], std::min<std::int64_t>(run.slots(stage), passes));
  }
}

TEST(AsynchronousReplicas, AreProvenForEveryShape) {
  for (int stages = 1; stages <= 4; ++stages) {
    for_each_shape(stages, stages <= 3 ? 4 : 3, [&](const std::vector<int>& replicas) {
      for (const int steps : {1, 2, 5}) {
        expect_proven(pipedream(replicas, steps));
        expect_proven(pipedream(replicas, steps, "none"));
        if (alike(replicas)) expect_proven(pipedream(replicas, steps, "vertical-sync"));
        const int ranks = std::accumulate(replicas.begin(), replicas.end(), 0);
        const int multiple = pipedream_micro_batches(replicas);
        const int least = (ranks + multiple - 1) / multiple * multiple;
        for (const int micro_batches : {least, least + multiple}) {
          expect_proven(asynchronous_run("2bw", "stash", stages, micro_batches, steps, replicas));
        }
      }
    });
  }
}

TEST(AsynchronousReplicas, AreProvenWhereverTheRunBegins) {
  AsynchronousRun run = pipedream({3, 2, 1}, 9);
  run.rule.origin = 4;
  EXPECT_EQ(verify(whole(run)).problem, "");
}

std::string order(const ActionList& list) {
  std::string text;
  for (const Action& action : list) {
    if (action.kind == forward) text += fmt::format("F{} ", action.micro_batch);
    if (action.kind == backward) text += fmt::format("B{} ", action.micro_batch);
    if (action.kind == step) text += fmt::format("U{} ", action.version);
    if (action.kind == report) text += "| ";
  }
  return text;
}

TEST(AsynchronousReplicas, TakeMicroBatchesInTurnAndUpdateAfterEachRound) {
  const AsynchronousRun run = pipedream({3, 2, 1}, 2);
  EXPECT_EQ(run.rule.micro_batches, 6);
  const Schedule s = whole(run);
  EXPECT_EQ(order(s.ranks[0]), "F0 F3 B0 U0 F6 B3 U1 | F9 B6 U2 B9 U3 | ");
  EXPECT_EQ(order(s.ranks[2]), "F2 F5 B2 U0 F8 B5 U1 | F11 B8 U2 B11 U3 | ");
  EXPECT_EQ(order(s.ranks[3]), "F0 F2 B0 U0 F4 B2 U1 F6 B4 U2 | F8 B6 U3 F10 B8 U4 B10 U5 | ");
  EXPECT_EQ(order(s.ranks[5]),
            "F0 B0 U0 F1 B1 U1 F2 B2 U2 F3 B3 U3 F4 B4 U4 F5 B5 U5 | "
            "F6 B6 U6 F7 B7 U7 F8 B8 U8 F9 B9 U9 F10 B10 U10 F11 B11 U11 | ");
}

/// By how much the versions of an action grow from list to list.
int versions_per_step(const AsynchronousRun& run, int stage, ActionKind kind) {
  switch (kind) {
    case begin_all_reduce:
    case all_reduce:
      return 0;
    case report:
    case codec_sync_up:
    case codec_sync_down:
      return 1;
    case receive_forward:
      return run.rule.updates_per_step(stage - 1);
    case receive_backward:
      return run.rule.updates_per_step(stage + 1);
    default:
      return run.rule.updates_per_step(stage);
  }
}

TEST(AsynchronousReplicas, ListsOfStepsMakeUpTheRun) {
  for (const AsynchronousRun& run :
       {pipedream({3, 2, 1}, 5), asynchronous_run("2bw", "stash", 3, 12, 4, {2, 3, 1})}) {
    const Schedule all = whole(run);
    const Placement placement = run.rule.placement();
    for (int rank = 0; rank < placement.ranks(); ++rank) {
      const int stage = placement.stage_of(rank);
      ActionList joined;
      for (int step = 0; step < run.steps; ++step) {
        for (Action action : asynchronous_list(run, rank, step)) {
          if (action.micro_batch >= 0) action.micro_batch += run.rule.micro_batches * step;
          action.version += step * versions_per_step(run, stage, action.kind);
          joined.push_back(action);
        }
      }
      EXPECT_EQ(joined, all.ranks[rank]);
    }
  }
}

TEST(AsynchronousReplicas, AShortRunShowsAllThatALongOneHas) {
  EXPECT_EQ(shortened(pipedream({2, 2, 2}, 1000)).steps, 9);
  EXPECT_EQ(shortened(pipedream({3, 2, 1}, 1000)).steps, 7);
  for (const std::vector<int>& replicas : {std::vector<int>{2, 2, 2}, {3, 2, 1}, {1, 4, 1}}) {
    const Verification short_run = verify(whole(shortened(pipedream(replicas, 1000))));
    EXPECT_EQ(short_run.problem, "");
    EXPECT_EQ(short_run.slots, verify(whole(pipedream(replicas, 40))).slots);
  }
}

class AsynchronousReplicaFaults : public ::testing::Test {
 protected:
  Schedule schedule_ = whole(pipedream({2, 1}, 6));

  ActionList::iterator find(int rank, ActionKind kind, int after = 0) {
    return std::find_if(schedule_.ranks[rank].begin() + after, schedule_.ranks[rank].end(),
                        [&](const Action& action) { return action.kind == kind; });
  }
  std::string problem() const { return verify(schedule_).problem; }
};

TEST_F(AsynchronousReplicaFaults, AnUpdateWithoutASumIsFound) {
  schedule_.ranks[1].erase(find(1, all_reduce));
  EXPECT_EQ(problem(), "rank 1: step: the replicas have not added up");
}

TEST_F(AsynchronousReplicaFaults, ASumBeforeItsBackwardIsFound) {
  const Action early = *find(1, all_reduce);
  schedule_.ranks[1].erase(find(1, all_reduce));
  schedule_.ranks[1].insert(find(1, backward), early);
  EXPECT_EQ(problem(), "rank 1: all_reduce: gradients are not complete");
}

TEST_F(AsynchronousReplicaFaults, AnUpdateOfAnotherNumberIsFound) {
  find(2, step)->version = 1;
  EXPECT_EQ(problem(), "rank 2: step: it is another update");
}

TEST_F(AsynchronousReplicaFaults, AReplicaThatUsesTheWeightsOfAnotherRuleIsFound) {
  const auto first = find(1, forward) - schedule_.ranks[1].begin();
  const auto second = find(1, forward, static_cast<int>(first) + 1) - schedule_.ranks[1].begin();
  const auto third = find(1, forward, static_cast<int>(second) + 1);
  third->version = 0;
  EXPECT_EQ(problem(), "rank 1: forward of micro-batch 5: the rule says other weights");
}

TEST_F(AsynchronousReplicaFaults, ASynchronisationBeforeTheMessageOfAnotherReplicaIsFound) {
  // Between the last stage and the replica that it hears from, all stays in order.
  ActionList& list = schedule_.ranks[2];
  const auto sync = find(2, codec_sync_down);
  const auto message = std::find_if(list.begin(), list.end(), [](const Action& action) {
    return action.kind == receive_forward && action.micro_batch == 3;
  });
  ASSERT_LT(message, sync);
  ASSERT_EQ(message->peer, 1);
  ASSERT_EQ(sync->peer, 0);
  std::rotate(message, sync, sync + 1);
  EXPECT_EQ(
      problem(),
      "rank 2: receive_forward of micro-batch 3 at boundary 0: its sender's end had synchronised otherwise");
}

}  // namespace
}  // namespace strait::pipeline
