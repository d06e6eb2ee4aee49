#include "strait/data/config.hpp"

#include "support/expect_error.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace strait::data {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

DataConfig read(const std::string& keys) {
  const Deck deck = Deck::from_string(fmt::format("[data]\n{}", keys), "run.toml");
  const DataConfig config = DataConfig::from_deck(deck.table("data"));
  deck.finish();
  return config;
}

TEST(DataConfig, HasDefaults) {
  const DataConfig config = read("train = [\"a*.bin\", \"b.bin\"]");
  EXPECT_THAT(config.train, ElementsAre("a*.bin", "b.bin"));
  EXPECT_THAT(config.validation, IsEmpty());
  EXPECT_EQ(config.format, Format::automatic);
  EXPECT_EQ(config.tokenizer, "bytes");
  EXPECT_EQ(config.order, Order::shuffled);
}

TEST(DataConfig, ReadsEveryKey) {
  const DataConfig config = read(
      "train = [\"a\"]\nvalidation = [\"b\"]\nformat = \"llmc\"\ntokenizer = \"x.model\"\n"
      "order = \"sequential\"");
  EXPECT_THAT(config.validation, ElementsAre("b"));
  EXPECT_EQ(config.format, Format::llmc);
  EXPECT_EQ(config.tokenizer, "x.model");
  EXPECT_EQ(config.order, Order::sequential);
}

TEST(DataConfig, RefusesBadValues) {
  auto refused = [](const std::string& keys, const std::string& message) {
    test::expect_error(ExitCode::deck, message, [&] { read(keys); });
  };
  refused("", "[data] train: missing, expected a list of strings");
  refused("train = []", "run.toml:2:1: [data] train: is empty, expected at least one file or pattern");
  refused("train = \"a\"", "run.toml:2:1: [data] train: found the string \"a\", expected a list of strings");
  refused("train = [\"a\"]\nformat = \"csv\"", "run.toml:3:1: [data] format: found the string \"csv\"");
  refused("train = [\"a\"]\ntokenizer = \"merges.txt\"",
          "run.toml:3:1: [data] tokenizer: is \"merges.txt\", expected \"bytes\", a SentencePiece");
  refused("train = [\"a\"]\nordr = \"shuffled\"", "run.toml:3:1: [data] ordr: unknown key");
}

}  // namespace
}  // namespace strait::data
