#pragma once
// A pipeline over MPI against the same pipeline on one rank, bit for bit. Included by one test per number of
// ranks.

#include "strait/codec/quantised.hpp"
#include "strait/codec/top_k.hpp"

#include "support/codec_decks.hpp"
#include "support/mpi_equality.hpp"
#include "support/projection.hpp"
#include "support/recording_codec.hpp"
#include "support/subspace.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <thread>

namespace strait::test {

TEST_F(MpiEquality, EveryScheduleIsBitwiseTheEmulatedOne) {
  for (const char* schedule : {"gpipe", "1f1b"}) {
    for (const bool tied : {false, true}) {
      for (const int micro_batches : {1, 2, 5}) {
        SCOPED_TRACE(fmt::format("{}, tied {}, {} micro-batches", schedule, tied, micro_batches));
        const PipelineCase c{
            .stages = ranks_, .schedule = schedule, .micro_batches = micro_batches, .tied = tied};
        expect_equal<float>(setup_of(c), exact_codec<float>());
      }
    }
  }
}

TEST_F(MpiEquality, ChunksAndSplitBackwardsAreBitwiseTheEmulatedOnesWithEveryCodec) {
  for (const char* text : every_codec) {
    SCOPED_TRACE(text);
    const auto codec = codec_of<float>(text);
    const PipelineCase c{.stages = ranks_, .micro_batches = ranks_ + 1, .layers = 2 * ranks_ + 1};
    PipelineCase interleaved = c, split = c;
    interleaved.schedule = "interleaved";
    interleaved.chunks = 2;
    expect_equal<float>(setup_of(interleaved), *codec);
    split.schedule = "zb-h1";
    expect_equal<float>(setup_of(split), *codec);
  }
}

TEST_F(MpiEquality, ChunksWithTiedTablesAreBitwiseTheEmulatedOnes) {
  for (const int chunks : {1, 2, 3}) {
    const PipelineCase c{.stages = ranks_,
                         .schedule = "interleaved",
                         .micro_batches = 5,
                         .tied = true,
                         .layers = 3 * ranks_,
                         .chunks = chunks};
    expect_equal<double>(setup_of(c), exact_codec<double>());
  }
}

TEST_F(MpiEquality, ReplicasAreBitwiseTheEmulatedOnes) {
  std::vector<PipelineCase> cases = {{.stages = 1, .replicas = {ranks_}},
                                     {.stages = 2, .replicas = {ranks_ - 1, 1}},
                                     {.stages = 2, .schedule = "zb-h1", .replicas = {1, ranks_ - 1}}};
  if (ranks_ == 4) {
    cases.push_back({.stages = 2, .tied = true, .replicas = {2, 2}});
    cases.push_back({.stages = 2, .schedule = "interleaved", .chunks = 2, .replicas = {2, 2}});
  }
  for (PipelineCase& c : cases) {
    SCOPED_TRACE(fmt::format("{}, {} stages, tied {}", c.schedule, c.stages, c.tied));
    c.micro_batches = ranks_ + 1;
    expect_equal<float>(setup_of(c), exact_codec<float>());
    const auto learned = projection<float>(codec::AnchorKind::factorized, optim::spel, 2);
    if (!c.tied) expect_equal<float>(setup_of(c), codec::ProjectionCodec<float>(learned));
  }
}

TEST_F(MpiEquality, NarrowWiresRoundAlike) {
  expect_equal<float>(setup_of({.stages = ranks_}), codec::NoneCodec<float>(codec::Wire::bfloat16));
}

TEST_F(MpiEquality, ACodecWithEveryHookIsBitwiseTheEmulatedOne) {
  HookLog log;
  expect_equal<double>(setup_of({.stages = ranks_, .micro_batches = 3}), RecordingCodec<double>(log));
}

TEST_F(MpiEquality, IntegersAndLargestEntriesAreBitwiseTheEmulatedOnes) {
  using codec::Wire;
  const auto setup = setup_of({.stages = ranks_, .micro_batches = 3});
  expect_equal<float>(setup,
                      codec::QuantisedCodec<float>({.bits = 8, .group_size = 6, .wire = Wire::bfloat16}));
  expect_equal<float>(setup,
                      codec::QuantisedCodec<float>({.bits = 4, .group_size = 6, .wire = Wire::float32}));
  expect_equal<float>(setup, codec::TopKCodec<float>({.k = 3, .wire = Wire::bfloat16}));
}

TEST_F(MpiEquality, LearnedProjectionsAreBitwiseTheEmulatedOnes) {
  for (const codec::AnchorKind anchors : all_anchors) {
    const auto options = projection<float>(anchors, optim::spel, 2);
    expect_equal<float>(setup_of({.stages = ranks_, .micro_batches = 3}),
                        codec::ProjectionCodec<float>(options));
  }
}

TEST_F(MpiEquality, ConfinedModelsAreBitwiseTheEmulatedOnes) {
  for (const std::int64_t grassmann_interval : {0, 2}) {
    for (const char* optimizer : {"adamw", "muon"}) {
      const PipelineCase c{.stages = ranks_, .micro_batches = 3, .optimizer = optimizer};
      expect_equal<float>(setup_of(c), codec::SubspaceCodec<float>(subspace<float>(grassmann_interval)));
    }
  }
}

TEST_F(MpiEquality, HooksAreCalledAsInTheEmulatedRun) {
  const pipeline::PipelineSetup setup = setup_of({.stages = ranks_, .micro_batches = 3});
  HookLog log, emulated_log;
  pipeline::Pipeline<double> distributed(exec_, setup, RecordingCodec<double>(log), MPI_COMM_WORLD);
  pipeline::Pipeline<double> emulated(exec_, setup, RecordingCodec<double>(emulated_log));
  train(exec_, distributed, setup.model.vocab, 3);
  train(exec_, emulated, setup.model.vocab, 3);
  const auto is_mine = [&](const HookCall& call) {
    return call.boundary == (call.hook.starts_with("sender.") ? rank_ : rank_ - 1);
  };
  HookLog wanted;
  std::copy_if(emulated_log.begin(), emulated_log.end(), std::back_inserter(wanted), is_mine);
  EXPECT_EQ(log, wanted);
}

TEST_F(MpiEquality, EveryRankLearnsTheTokenThatTheLastChose) {
  const pipeline::PipelineSetup setup = setup_of({.stages = ranks_});
  pipeline::Pipeline<float> pipeline(exec_, setup, exact_codec<float>(), MPI_COMM_WORLD);
  int calls = 0;
  const auto token = pipeline.next_token(tokens(0), 3, [&](std::span<const double>) {
    ++calls;
    return 9;
  });
  EXPECT_EQ(token, 9);
  EXPECT_EQ(calls, rank_ == ranks_ - 1 ? 1 : 0);
}

TEST_F(MpiEquality, VotesOfAllRanksReachEveryRank) {
  const pipeline::PipelineSetup setup = setup_of({.stages = ranks_});
  pipeline::Pipeline<float> pipeline(exec_, setup, exact_codec<float>(), MPI_COMM_WORLD);
  pipeline::StepInfo info = step_info(0);
  info.vote = [&] { return 10 + rank_; };
  const std::vector<int> votes = pipeline.step(info, tokens(0)).votes;
  ASSERT_EQ(votes.size(), static_cast<std::size_t>(ranks_));
  for (int rank = 0; rank < ranks_; ++rank) EXPECT_EQ(votes[rank], 10 + rank);
}

TEST_F(MpiEquality, OneRankThatIsNotFiniteStopsTheUpdateOfAll) {
  const pipeline::PipelineSetup setup = setup_of({.stages = ranks_});
  pipeline::Pipeline<float> pipeline(exec_, setup, exact_codec<float>(), MPI_COMM_WORLD);
  const Vector<float>& weights = pipeline.executors()[0]->units()[0].stage().weights();
  auto host = to_host(exec_, weights);
  if (rank_ == ranks_ - 1) host(0) = std::numeric_limits<float>::infinity();
  to_device(exec_, weights, host);
  EXPECT_FALSE(pipeline.step(step_info(0), tokens(0)).finite);
  const auto after = to_host(exec_, weights);
  for (std::size_t i = 0; i < host.extent(0); ++i) ASSERT_EQ(after(i), host(i));
}

TEST_F(MpiEquality, ASlowRankIsWaitedFor) {
  const pipeline::PipelineSetup setup = setup_of({.stages = ranks_});
  pipeline::Pipeline<float> pipeline(exec_, setup, exact_codec<float>(), MPI_COMM_WORLD);
  gather_statistics(pipeline);
  const auto slow_tokens = [&](const pipeline::BatchRequest& request) {
    if (rank_ == ranks_ - 1) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    tokens(0)(request);
  };
  EXPECT_TRUE(pipeline.step(step_info(0), slow_tokens).finite);
  const auto ranks = gather_statistics(pipeline).ranks;
  EXPECT_GT(ranks[0].seconds_wait, 0.04) << "the first rank waits for the last";
  EXPECT_GE(ranks[ranks_ - 1].seconds_input, 0.08);
}

}  // namespace strait::test
