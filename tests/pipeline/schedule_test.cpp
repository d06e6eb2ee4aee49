// What the generated lists cost: idle time and micro-batches in flight.
#include "strait/pipeline/verifier.hpp"

#include "support/schedule_times.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <string>

namespace strait::pipeline {
namespace {

using enum ActionKind;
using test::makespan;
using test::PassTimes;

/// Computations of a rank, as F, B (backward or its input's half) and W, with chunk where there are several.
std::string order(const Schedule& schedule, int rank) {
  std::string text;
  for (const Action& action : schedule.ranks[rank]) {
    const char* letter = action.kind == forward                                     ? "F"
                         : action.kind == backward || action.kind == backward_input ? "B"
                         : action.kind == backward_weight                           ? "W"
                                                                                    : nullptr;
    if (!letter) continue;
    if (!text.empty()) text += ' ';
    text += fmt::format("{}{}", letter, action.micro_batch);
    if (schedule.chunks > 1) text += static_cast<char>('a' + action.chunk);
  }
  return text;
}

TEST(Schedule, InterleavesItsChunks) {
  const Schedule s = schedule("interleaved", 2, 4, {.chunks = 2});
  EXPECT_EQ(order(s, 0), "F0a F1a F0b F1b F2a B0b F3a B1b F2b B0a F3b B1a B2b B3b B2a B3a");
  EXPECT_EQ(order(s, 1), "F0a F1a F0b B0b F1b B1b F2a B0a F3a B1a F2b B2b F3b B3b B2a B3a");
}

TEST(Schedule, LeavesOutWhatFillsUpTheLastGroupOfInterleavedMicroBatches) {
  EXPECT_EQ(order(schedule("interleaved", 2, 3, {.chunks = 2}), 1),
            "F0a F1a F0b B0b F1b B1b F2a B0a B1a F2b B2b B2a");
}

TEST(Schedule, OneChunkInterleavedIsOneForwardOneBackward) {
  EXPECT_EQ(schedule("interleaved", 4, 6).ranks, schedule("1f1b", 4, 6).ranks);
}

TEST(Schedule, ZeroBubbleDelaysTheWeightsOfLaterStages) {
  const Schedule s = schedule("zb-h1", 3, 4);
  EXPECT_EQ(order(s, 0), "F0 F1 F2 B0 W0 F3 B1 W1 B2 W2 B3 W3");
  EXPECT_EQ(order(s, 1), "F0 F1 B0 F2 B1 W0 F3 B2 W1 B3 W2 W3");
  EXPECT_EQ(order(s, 2), "F0 B0 F1 B1 F2 B2 W0 F3 B3 W1 W2 W3");
}

/// Table of Narayanan et al. 2021 and Qi et al. 2023: the time beyond the work of one rank.
TEST(Schedule, IdleTimeIsThatOfItsFormula) {
  const PassTimes unit;
  for (int stages = 1; stages <= 8; ++stages) {
    for (int micro_batches = 1; micro_batches <= 24; ++micro_batches) {
      SCOPED_TRACE(fmt::format("{} stages, {} micro-batches", stages, micro_batches));
      const double work = 3.0 * micro_batches, bubble = 3.0 * (stages - 1);
      EXPECT_EQ(makespan(schedule("gpipe", stages, micro_batches), unit), work + bubble);
      EXPECT_EQ(makespan(schedule("1f1b", stages, micro_batches), unit), work + bubble);
      if (micro_batches >= stages) {
        EXPECT_EQ(makespan(schedule("zb-h1", stages, micro_batches), unit), work + (stages - 1));
      }
      for (int chunks = 2; stages > 1 && chunks <= 4; ++chunks) {
        const double found = makespan(schedule("interleaved", stages, micro_batches, {.chunks = chunks}),
                                      {1.0 / chunks, 1.0 / chunks, 1.0 / chunks});
        const int whole = (micro_batches + stages - 1) / stages * stages;
        if (micro_batches == whole) {
          EXPECT_NEAR(found, work + bubble / chunks, 1e-9) << chunks << " chunks";
        } else {
          EXPECT_LE(found, 3.0 * whole + bubble / chunks + 1e-9) << chunks << " chunks";
        }
      }
    }
  }
}

TEST(Schedule, ZeroBubbleFormulaHoldsForUnequalHalves) {
  const PassTimes times{.forward = 4.0, .backward_input = 5.0, .backward_weight = 3.0};
  for (int stages = 2; stages <= 6; ++stages) {
    const int micro_batches = 2 * stages;
    EXPECT_EQ(makespan(schedule("zb-h1", stages, micro_batches), times),
              12.0 * micro_batches + (stages - 1) * (4.0 + 5.0 - 3.0));
  }
}

TEST(Schedule, KeepsAsManyMicroBatchesAsItsTableSays) {
  for (int stages = 1; stages <= 8; ++stages) {
    for (int micro_batches = 1; micro_batches <= 20; ++micro_batches) {
      for (int rank = 0; rank < stages; ++rank) {
        SCOPED_TRACE(fmt::format("rank {} of {}, {} micro-batches", rank, stages, micro_batches));
        const auto held = [&](const char* name, const ScheduleOptions& options = {}) {
          const auto slots = verify(schedule(name, stages, micro_batches, options)).slots.at(rank);
          return std::accumulate(slots.begin(), slots.end(), 0);
        };
        EXPECT_EQ(held("gpipe"), micro_batches);
        EXPECT_EQ(held("1f1b"), std::min(stages - rank, micro_batches));
        EXPECT_EQ(held("zb-h1"), std::min(stages, micro_batches));
        if (stages == 1 || micro_batches % stages != 0) continue;
        for (int chunks = 2; chunks <= 3; ++chunks) {
          // Slots of chunks are apart: at most one more per chunk than are ever full at once.
          const int full =
              std::min(2 * (stages - 1 - rank) + (chunks - 1) * stages + 1, micro_batches * chunks);
          EXPECT_GE(held("interleaved", {.chunks = chunks}), full) << chunks << " chunks";
          EXPECT_LE(held("interleaved", {.chunks = chunks}), full + chunks * stages) << chunks << " chunks";
        }
      }
    }
  }
}

}  // namespace
}  // namespace strait::pipeline
