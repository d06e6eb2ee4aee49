#include "strait/pipeline/config.hpp"

#include "support/expect_error.hpp"

#include <gtest/gtest.h>

namespace strait::pipeline {
namespace {

PipelineConfig config_of(const std::string& text) {
  const Deck deck = Deck::from_string("[pipeline]\n" + text, "deck");
  const PipelineConfig config = PipelineConfig::from_deck(deck.table("pipeline"));
  deck.finish();
  return config;
}

TEST(PipelineConfig, Defaults) {
  const PipelineConfig config = config_of("");
  EXPECT_EQ(config.stages, 1);
  EXPECT_EQ(config.schedule, "gpipe");
  EXPECT_TRUE(config.split.empty());
  EXPECT_FALSE(config.emulated);
}

TEST(PipelineConfig, ReadsEveryKey) {
  const PipelineConfig config = config_of("stages = 3\nschedule = '1f1b'\nsplit = [2, 1, 1]");
  EXPECT_EQ(config.stages, 3);
  EXPECT_EQ(config.schedule, "1f1b");
  EXPECT_EQ(config.split, (std::vector<int>{2, 1, 1}));
  EXPECT_TRUE(config_of("split = 'auto'").split.empty());
  const PipelineConfig chunked =
      config_of("stages = 2\nschedule = 'interleaved'\nchunks = 2\nsplit = [2, 1, 1, 1]");
  EXPECT_EQ(chunked.chunks, 2);
  EXPECT_EQ(chunked.virtual_stages(), 4);
  EXPECT_EQ(chunked.ranks(), 2);
  EXPECT_EQ(config_of("stages = 2\nschedule = 'interleaved'").chunks, 1);
  EXPECT_EQ(config_of("stages = 2\nschedule = 'zb-h1'").schedule, "zb-h1");
}

TEST(PipelineConfig, EmulatedStagesReplaceStages) {
  const PipelineConfig config = config_of("stages = 2\nemulate_stages = 4");
  EXPECT_TRUE(config.emulated);
  EXPECT_EQ(config.stages, 4);
}

TEST(PipelineConfig, RefusesBadValues) {
  test::expect_error(ExitCode::deck, "deck:2:1: [pipeline] stages", [] { config_of("stages = 0"); });
  test::expect_error(ExitCode::deck, "[pipeline] emulate_stages", [] { config_of("emulate_stages = -1"); });
  test::expect_error(ExitCode::deck, "[pipeline] schedule", [] { config_of("schedule = 'zigzag'"); });
  test::expect_error(ExitCode::deck, "[pipeline] split: lists 2 runs of layers, expected 3",
                     [] { config_of("stages = 3\nsplit = [2, 2]"); });
  test::expect_error(ExitCode::deck, "[pipeline] split: lists 2 runs of layers, expected 4",
                     [] { config_of("stages = 2\nschedule = 'interleaved'\nchunks = 2\nsplit = [2, 2]"); });
  test::expect_error(ExitCode::deck, "[pipeline] chunks: is 2, expected 1 with schedule \"1f1b\"",
                     [] { config_of("stages = 2\nschedule = '1f1b'\nchunks = 2"); });
  test::expect_error(ExitCode::deck, "[pipeline] chunks: is 2, expected 1 with one stage",
                     [] { config_of("schedule = 'interleaved'\nchunks = 2"); });
  test::expect_error(ExitCode::deck, "[pipeline] chunks",
                     [] { config_of("stages = 2\nschedule = 'interleaved'\nchunks = 0"); });
}

}  // namespace
}  // namespace strait::pipeline
