#include "strait/core/deck.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace strait {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Deck deck_of(const std::string& text, const std::vector<std::string>& overrides = {}) {
  return Deck::from_string(text, "run.toml", overrides);
}

/// The message of the deck error that `action` must end with.
template <class Action>
std::string refusal(Action action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::deck);
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    return error.what();
  }
  ADD_FAILURE() << "nothing was refused";
  return "";
}

TEST(Deck, ReadsEveryType) {
  const Deck deck = deck_of(R"(
[t]
flag = true
small = -7
large = 9_000_000_000
real = 1e-3
whole = 2
text = "a\"b\nc"
words = ["x", "y"]
numbers = [1, 2, 3]
)");
  const Table t = deck.table("t");
  EXPECT_TRUE(t.required<bool>("flag", ""));
  EXPECT_EQ(t.required<int>("small", ""), -7);
  EXPECT_EQ(t.required<std::int64_t>("large", ""), 9'000'000'000);
  EXPECT_EQ(t.required<double>("real", ""), 1e-3);
  EXPECT_EQ(t.required<double>("whole", ""), 2.0);
  EXPECT_EQ(t.required<std::string>("text", ""), "a\"b\nc");
  EXPECT_THAT(t.required<std::vector<std::string>>("words", ""), ElementsAre("x", "y"));
  EXPECT_THAT(t.required<std::vector<int>>("numbers", ""), ElementsAre(1, 2, 3));
  deck.finish();
}

TEST(Deck, UsesFallbacks) {
  const Deck deck = deck_of("[t]\n");
  const Table t = deck.table("t");
  EXPECT_EQ(t.optional("steps", 5, ""), 5);
  EXPECT_EQ(t.optional("rate", 0.5, ""), 0.5);
  EXPECT_EQ(t.optional("name", "run", ""), "run");
  EXPECT_EQ(t.choice("order", {"shuffled", "sequential"}, ""), "shuffled");
  EXPECT_FALSE(t.automatic<int>("interval", ""));
  EXPECT_THAT(t.one_or_list("replicas", 1, ""), ElementsAre(1));
  EXPECT_FALSE(t.has("steps"));
  deck.finish();
}

TEST(Deck, RefusesWrongTypesWithPlaceAndExpectation) {
  const Deck deck = deck_of("[model]\n  layers = \"12\"\nhidden = 3_000_000_000\nratio = 1.5\nbad = nan\n");
  const Table model = deck.table("model");
  EXPECT_EQ(refusal([&] { model.required<std::int64_t>("layers", ""); }),
            "run.toml:2:3: [model] layers: found the string \"12\", expected an integer");
  EXPECT_EQ(refusal([&] { model.required<int>("hidden", ""); }),
            "run.toml:3:1: [model] hidden: found the integer 3000000000, expected an integer of 32 bits");
  EXPECT_EQ(refusal([&] { model.required<int>("ratio", ""); }),
            "run.toml:4:1: [model] ratio: found the float 1.5, expected an integer of 32 bits");
  EXPECT_THAT(refusal([&] { model.required<double>("bad", ""); }), HasSubstr("expected a number"));
  EXPECT_THAT(refusal([&] { model.required<std::vector<int>>("hidden", ""); }),
              HasSubstr("list of integers"));
  EXPECT_THAT(refusal([&] { model.automatic<int>("layers", ""); }),
              HasSubstr("expected \"auto\" or an integer"));
}

TEST(Deck, RefusesValueOutsideTheChoices) {
  const Table t = deck_of("[data]\norder = \"random\"").table("data");
  EXPECT_EQ(refusal([&] {
              t.choice("order", {"shuffled", "sequential"}, "");
            }),
            "run.toml:2:1: [data] order: found the string \"random\", expected one of \"shuffled\", "
            "\"sequential\"");
}

TEST(Deck, NamesMisspeltTablesOfRequiredKeys) {
  const Deck deck = deck_of("\n[modle]\nlayers = 4\n");
  EXPECT_EQ(refusal([&] { deck.table("model").required<int>("layers", ""); }),
            "run.toml:2:2: [modle]: unknown table, the nearest known table is [model]");
  const Deck other = deck_of("\n[model]\nlayers = 4\n");
  other.table("model").required<int>("layers", "");
  EXPECT_EQ(refusal([&] { other.table("codec").required<int>("rank", ""); }),
            "run.toml: [codec] rank: missing, expected an integer of 32 bits");
}

TEST(Deck, NamesMissingAndMisspeltRequiredKeys) {
  const Deck deck = deck_of("\n[model]\nlayres = 4\n");
  EXPECT_EQ(refusal([&] { deck.table("model").required<int>("hidden", ""); }),
            "run.toml:2:2: [model] hidden: missing, expected an integer of 32 bits");
  EXPECT_EQ(refusal([&] { deck.table("model").required<int>("layers", ""); }),
            "run.toml:3:1: [model] layers: missing, expected an integer of 32 bits; the nearest given key is "
            "layres");
  EXPECT_EQ(refusal([&] { deck.table("run").required<int>("steps", ""); }),
            "run.toml: [run] steps: missing, expected an integer of 32 bits");
}

TEST(Deck, RefusesUnknownKeysAndTables) {
  auto finish = [](const std::string& text, const std::vector<std::string>& overrides = {}) {
    return refusal([&] {
      const Deck deck = deck_of(text, overrides);
      deck.table("run").optional("steps", 1, "");
      deck.table("optimizer").optional("learning_rate", 1e-3, "");
      deck.table("network");
      deck.table("optimizer").optional("beta1", 0.9, "");
      deck.finish();
    });
  };
  EXPECT_EQ(finish("[optimizer]\nbeta1 = 0.8\nlearning_rat = 1.0"),
            "run.toml:3:1: [optimizer] learning_rat: unknown key, the nearest known key is learning_rate");
  EXPECT_EQ(finish("[optimizer]\nsteps = 1"),
            "run.toml:2:1: [optimizer] steps: unknown key, expected in [run]");
  EXPECT_EQ(finish("[optimiser]\nbeta1 = 0.8"),
            "run.toml:2:1: [optimiser] beta1: unknown key, expected in [optimizer]");
  EXPECT_EQ(finish("[optimiser]\nrate = 1"),
            "run.toml:2:1: [optimiser] rate: unknown table, the nearest known table is [optimizer]");
  EXPECT_EQ(finish("[network]\nrate = 1"),
            "run.toml:2:1: [network] rate: unknown key, expected none in this table");
  EXPECT_EQ(finish("[rum]\n"), "run.toml:1:2: [rum]: unknown table, the nearest known table is [run]");
  EXPECT_EQ(finish("", {"run.step=3"}),
            "--set run.step=3: [run] step: unknown key, the nearest known key is steps");
  EXPECT_THAT(finish("steps = 3\n[run]\n"),
              HasSubstr("run.toml:1:1: [] steps: unknown key, expected in [run]"));
}

TEST(Deck, AppliesOverrides) {
  const Deck deck = deck_of("[run]\nsteps = 5\nname = \"a\"\n",
                            {"run.steps=7", "run.steps=8", "run.name=2bw", "data.train=[\"x=y\"]",
                             "codec.rvq.groups=4", "run.quoted=\"3\""});
  const Table run = deck.table("run");
  EXPECT_EQ(run.required<int>("steps", ""), 8);
  EXPECT_EQ(run.required<std::string>("name", ""), "2bw");
  EXPECT_EQ(run.required<std::string>("quoted", ""), "3");
  EXPECT_THAT(deck.table("data").required<std::vector<std::string>>("train", ""), ElementsAre("x=y"));
  EXPECT_EQ(deck.table("codec").table("rvq").required<int>("groups", ""), 4);
  deck.finish();
}

TEST(Deck, RefusesBadOverrides) {
  EXPECT_EQ(refusal([] { deck_of("", {"steps=3"}); }), "--set steps=3: expected table.key=value");
  EXPECT_EQ(refusal([] { deck_of("", {"run.steps"}); }), "--set run.steps: expected table.key=value");
  EXPECT_EQ(refusal([] { deck_of("", {"data.train=[a"}); }),
            "--set data.train=[a: the value is not valid TOML");
  const Deck deck = deck_of("[run]\nsteps = 5\n", {"run.steps=many"});
  EXPECT_THAT(refusal([&] { deck.table("run").required<int>("steps", ""); }),
              HasSubstr("--set run.steps=many: [run] steps: found the string \"many\", expected an integer"));
}

TEST(Deck, RefusesSyntaxErrorsAndOddValues) {
  EXPECT_THAT(refusal([] { deck_of("[run]\nsteps = = 3\n"); }), HasSubstr("run.toml:2:9: not valid TOML"));
  EXPECT_THAT(refusal([] { deck_of("[run]\nday = 2020-01-01\n"); }),
              HasSubstr("run.toml:2:1: run.day: found a date or time"));
  EXPECT_THAT(refusal([] { deck_of("[[run]]\na = 1\n"); }), HasSubstr("found a list of tables"));
  EXPECT_THAT(refusal([] { deck_of("[run.steps]\na = 1\n").table("run").optional("steps", 1, ""); }),
              HasSubstr("[run] steps: found a table, expected an integer"));
}

TEST(Deck, RefusesUnreadableFiles) {
  EXPECT_THAT(refusal([] { Deck::from_file("no/such/deck.toml"); }),
              HasSubstr("no/such/deck.toml: cannot read"));
  EXPECT_THAT(refusal([] { Deck::from_file("/"); }), HasSubstr("/: cannot read"));
}

TEST(Deck, ReadsUnionForms) {
  const Table p =
      deck_of("[pipeline]\nsplit = [3, 4]\nreplicas = [1, 2]\nauto = \"auto\"\none = 3\n").table("pipeline");
  EXPECT_THAT(*p.automatic<std::vector<int>>("split", ""), ElementsAre(3, 4));
  EXPECT_FALSE(p.automatic<std::vector<int>>("auto", ""));
  EXPECT_THAT(p.one_or_list("replicas", 1, ""), ElementsAre(1, 2));
  EXPECT_THAT(p.one_or_list("one", 1, ""), ElementsAre(3));
}

TEST(Deck, ChecksBounds) {
  const Table t = deck_of("[training]\nmicro_batch = 0\n").table("training");
  EXPECT_EQ(t.at_least("micro_batch", 3, 1), 3);
  EXPECT_EQ(refusal([&] { t.at_least("micro_batch", 0, 1); }),
            "run.toml:2:1: [training] micro_batch: is 0, expected at least 1");
  EXPECT_THAT(refusal([&] { t.above("rate", 0.0, 0); }), HasSubstr("expected more than 0"));
  EXPECT_THAT(refusal([&] { t.between("rate", 1.5, 0, 1); }), HasSubstr("is 1.5, expected 0 to 1"));
  EXPECT_THAT(refusal([&] { t.between("rate", std::numeric_limits<double>::quiet_NaN(), 0, 1); }),
              HasSubstr("expected 0 to 1"));
}

void read_all(const Deck& deck) {
  const Table run = deck.table("run");
  run.optional("name", "tab\there \"quoted\" back\\slash", "name of the run | shown");
  run.optional("seed", std::int64_t{1}, "");
  run.required<int>("steps", "optimiser updates");
  run.optional("tiny", 5e-324, "");
  run.optional("round", 100.0, "");
  run.optional("huge", std::numeric_limits<double>::infinity(), "");
  run.optional("words", std::vector<std::string>{}, "");
  deck.table("pipeline").automatic<std::vector<int>>("split", "");
  deck.table("codec.rvq").optional("groups", 4, "");
  deck.table("run").optional("late", false, "");
}

TEST(Deck, EffectiveDeckReadsBackToItself) {
  const Deck deck = deck_of("[run]\nsteps = 5\n[pipeline]\nsplit = [1, 2]", {"run.seed=7"});
  read_all(deck);
  const std::string effective = deck.effective();
  EXPECT_THAT(effective,
              HasSubstr("seed = 7\nsteps = 5\ntiny = 5e-324\nround = 100.0\nhuge = inf\nwords = []\n"
                        "late = false\n\n[pipeline]\nsplit = [1, 2]\n"));
  const Deck again = deck_of(effective);
  read_all(again);
  again.finish();
  EXPECT_EQ(again.effective(), effective);
  EXPECT_EQ(deck.as_given(), "[run]\nsteps = 5\n[pipeline]\nsplit = [1, 2]");
}

TEST(Deck, TellsWhichKeysDiffer) {
  const Deck earlier = deck_of("[run]\nsteps = 5\nround = 100");
  read_all(earlier);
  earlier.table("run").optional("gone", 3, "");
  const Deck deck = deck_of("[run]\nsteps = 6\nnew = 1\nsame = 2\nround = 1e2\n[pipeline]\nsplit = [1]");
  read_all(deck);
  deck.table("run").optional("new", 4, "");
  deck.table("run").optional("same", 2, "");
  std::vector<std::string> found;
  for (const auto& [key, before, after] : deck.differences(earlier.effective())) {
    found.push_back(key + ": " + before + " -> " + after);
  }
  EXPECT_THAT(found, ElementsAre("run.steps: 5 -> 6", R"(pipeline.split: "auto" -> [1])", "run.new:  -> 1",
                                 "run.gone: 3 -> "));
  EXPECT_THAT(deck.differences(deck.effective()), testing::IsEmpty());
}

TEST(Deck, ReferenceListsEveryKey) {
  const Deck deck = deck_of("[run]\nsteps = 5\n");
  read_all(deck);
  const std::string reference = deck.reference();
  EXPECT_THAT(reference, HasSubstr("## [run]\n"));
  EXPECT_THAT(reference, HasSubstr("| `steps` | an integer of 32 bits | required | optimiser updates |\n"));
  EXPECT_THAT(reference, HasSubstr("name of the run \\| shown |\n"));
  EXPECT_THAT(reference, HasSubstr("| `groups` | an integer of 32 bits | `4` |"));
}

}  // namespace
}  // namespace strait
