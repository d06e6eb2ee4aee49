// The bytes that a plan asks for are those that a pipeline then allocates and reports.
#include "support/allocation_count.hpp"
#include "support/pipelines.hpp"

#include <gtest/gtest.h>

namespace strait::test {
namespace {

using pipeline::Pipeline;
using pipeline::PipelineSetup;
using pipeline::StageUnit;
using pipeline::TrainingPlan;

template <class T>
void expect_planned(const PipelineSetup& setup, const codec::Codec<T>& codec) {
  const ExecutionSpace exec;
  const TrainingPlan plan(setup);
  std::vector<std::int64_t> planned(setup.ranks());
  const pipeline::Placement placement = setup.placement();
  std::int64_t total = 0;
  for (int stage = 0; stage < setup.stages(); ++stage) {
    const std::int64_t bytes = StageUnit<T>::bytes_needed(setup, plan, stage, codec);
    for (int replica = 0; replica < placement.replicas_of(stage); ++replica) {
      planned[placement.rank_of(stage, replica)] += bytes;
      total += bytes;
    }
  }
  const AllocationCount count;
  Pipeline<T> pipeline(exec, setup, codec);
  EXPECT_EQ(count.live_bytes(), total);
  const auto expect_reported = [&] {
    for (int rank = 0; rank < setup.ranks(); ++rank) {
      EXPECT_EQ(pipeline.executors()[rank]->memory_bytes(), planned[rank]) << "rank " << rank;
    }
  };
  expect_reported();
  train(exec, pipeline, setup.model.vocab, 3);
  expect_reported();
}

/// [codec] of a deck.
class PlannedMemory : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(
    Codecs, PlannedMemory,
    ::testing::Values("name = 'none'", "name = 'none'\nwire = 'bfloat16'", "name = 'mapl'\nrank = 6",
                      "name = 'mapl'\nrank = 6\nanchors = 'full'\nanchor_init = 'embedding'",
                      "name = 'mapl'\nrank = 6\nanchors = 'static'\nprojector = 'manifold-muon'",
                      "name = 'mapl'\nrank = 5\nanchors = 'none'\nprojector_interval = 2",
                      "name = 'fixed'\nrank = 6", "name = 'unconstrained'\nrank = 6", "name = 'int8'",
                      "name = 'int4'", "name = 'int2'", "name = 'topk'\nk = 3", "name = 'ssn'\nrank = 6",
                      "name = 'ssn'\nrank = 6\ngrassmann_interval = 2",
                      "name = 'mapl'\nrank = 6\nrvq.groups = 2\nrvq.rounds = 2\nrvq.codewords = 12\n"
                      "rvq.backward = 'rvq'\nrvq.commitment = 0.5",
                      "name = 'fixed'\nrank = 16\nanchors = 'none'\nrvq.groups = 4\nrvq.rounds = 1\n"
                      "rvq.codewords = 12\nrvq.backward = 'int8'"));

TEST_P(PlannedMemory, IsAllocatedAndReported) {
  const Deck deck = Deck::from_string(std::string("[codec]\n") + GetParam(), "test");
  for (const bool tied : {false, true}) {
    for (const std::string optimizer : {"adamw", "muon"}) {
      SCOPED_TRACE(fmt::format("tied {}, {}", tied, optimizer));
      PipelineSetup setup = setup_of({.stages = 3, .tied = tied, .optimizer = optimizer});
      expect_planned<float>(setup, *codec::codec_from_deck<float>(deck.table("codec"), setup.model.hidden));
      setup.recompute = true;
      setup.schedule = "gpipe";
      expect_planned<double>(setup, *codec::codec_from_deck<double>(deck.table("codec"), setup.model.hidden));
      for (const PipelineCase& c :
           {PipelineCase{.stages = 3, .schedule = "zb-h1", .tied = tied},
            PipelineCase{.stages = 2, .schedule = "interleaved", .tied = tied, .chunks = 2},
            PipelineCase{.stages = 2, .tied = tied, .replicas = {2, 2}}}) {
        expect_planned<float>(setup_of(c), *codec::codec_from_deck<float>(deck.table("codec"), 16));
      }
    }
  }
}

/// Messages of any number of bytes.
TEST(PlannedMemoryOfCodewords, IsAllocatedAndReported) {
  for (const int codewords : {2, 3, 5, 7, 11, 12}) {
    for (const char* backward : {"bfloat16", "int8", "rvq"}) {
      SCOPED_TRACE(fmt::format("{} codewords, {}", codewords, backward));
      const Deck deck = Deck::from_string(
          fmt::format("[codec]\nname = 'mapl'\nrank = 6\nwire = 'bfloat16'\nrvq.groups = 2\nrvq.rounds = 1\n"
                      "rvq.codewords = {}\nrvq.backward = '{}'",
                      codewords, backward),
          "test");
      const PipelineSetup setup = setup_of({.stages = 3});
      expect_planned<float>(setup, *codec::codec_from_deck<float>(deck.table("codec"), setup.model.hidden));
    }
  }
}

TEST(PlannedMemoryOfOneStage, HasNoBoundary) {
  expect_planned<float>(setup_of({.stages = 1, .tied = true}), exact_codec<float>());
}

}  // namespace
}  // namespace strait::test
