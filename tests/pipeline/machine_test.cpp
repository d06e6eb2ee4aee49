// Machine files.
#include "strait/pipeline/machine.hpp"

#include "support/expect_error.hpp"
#include "support/temporary_directory.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace strait::pipeline {
namespace {

const std::string two_levels = R"([machine]
levels = ["nvlink", "ethernet"]
memory = 80e9
speed = [1, 0.5, 2]
[machine.nvlink]
components = 2
bandwidth = 3.6e12
[machine.ethernet]
components = 3
bandwidth = 1e11
latency = 1e-5
duplex = false
)";

Machine parse(const std::string& text) {
  const Deck deck = Deck::from_string(text, "machine.toml");
  const Machine machine = Machine::from_deck(deck.table("machine"));
  deck.finish();
  return machine;
}

std::string replaced(const std::string& old, const std::string& by) {
  std::string text = two_levels;
  return text.replace(text.find(old), old.size(), by);
}

TEST(Machine, IsReadLevelByLevel) {
  const Machine machine = parse(two_levels);
  EXPECT_EQ(machine.ranks(), 6);
  EXPECT_EQ(machine.memory_bytes, 80'000'000'000);
  ASSERT_EQ(machine.levels.size(), 2u);
  EXPECT_EQ(machine.levels[0].name, "nvlink");
  EXPECT_EQ(machine.levels[0].latency, 0.0);
  EXPECT_TRUE(machine.levels[0].duplex);
  EXPECT_EQ(machine.levels[1].bandwidth, 1e11);
  EXPECT_FALSE(machine.levels[1].duplex);
  EXPECT_THAT(machine.speed, testing::ElementsAre(1.0, 1.0, 0.5, 0.5, 2.0, 2.0));
}

TEST(Machine, RanksMeetOnTheLowestCommonLevel) {
  const Machine machine = parse(two_levels);
  EXPECT_EQ(machine.link(0, 1).name, "nvlink");
  EXPECT_EQ(machine.link(1, 2).name, "ethernet");
  EXPECT_EQ(machine.link(5, 4).name, "nvlink");
  EXPECT_EQ(machine.link(0, 5).name, "ethernet");
}

TEST(Machine, RefusesWhatCannotBe) {
  const auto refuse = [](const std::string& text, const std::string& part) {
    test::expect_error(ExitCode::deck, part, [&] { parse(text); });
  };
  refuse(replaced("components = 2", "components = 0"), "machine.toml:6:1: [machine.nvlink] components: is 0");
  refuse(replaced("bandwidth = 1e11", "bandwidth = 0"), "[machine.ethernet] bandwidth: is 0");
  refuse(replaced("latency = 1e-5", "latency = -1"), "latency: is -1");
  refuse(replaced("components = 3", "components = 60000"), "makes 120000 ranks, expected at most 65536");
  refuse(replaced("[1, 0.5, 2]", "[1, 2]"), "lists 2 numbers, expected 6 (one per rank) or 3");
  refuse(replaced("[1, 0.5, 2]", "[1, 0, 2]"), "speed: is 0");
  refuse(replaced("\"ethernet\"]", "\"nvlink\"]"), "names \"nvlink\" twice");
  refuse(replaced("[\"nvlink\", \"ethernet\"]", "[]"), "levels: is empty");
  refuse(replaced("[machine.nvlink]", "[machine.nvlnk]"), "nvlnk");
  refuse(replaced("memory", "memroy"), "unknown key, the nearest known key is memory");
  refuse("", "levels: missing");
}

TEST(Machine, IsReadFromAFile) {
  const test::TemporaryDirectory directory;
  test::expect_error(ExitCode::io, "cannot read the machine",
                     [&] { Machine::from_file(directory.file("none.toml")); });
}

}  // namespace
}  // namespace strait::pipeline
