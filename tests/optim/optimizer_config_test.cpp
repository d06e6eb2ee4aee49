// The [optimizer] table, the learning rate's schedule and clipping.
#include "strait/optim/optimizer.hpp"

#include "support/expect_error.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>
#include <string>

namespace strait::optim {
namespace {

OptimizerConfig read(const std::vector<std::string>& overrides = {}) {
  const auto deck = Deck::from_string("[optimizer]\nlearning_rate = 1e-3\n", "deck.toml", overrides);
  const auto config = OptimizerConfig::from_deck(deck.table("optimizer"));
  deck.finish();
  return config;
}

TEST(OptimizerConfig, DefaultsAreThoseOfTheInterface) {
  const auto config = read();
  EXPECT_EQ(config.name, "adamw");
  EXPECT_EQ(config.learning_rate, 1e-3);
  EXPECT_EQ(config.beta1, 0.9);
  EXPECT_EQ(config.beta2, 0.95);
  EXPECT_EQ(config.epsilon, 1e-8);
  EXPECT_EQ(config.weight_decay, 0.1);
  EXPECT_EQ(config.clip, 1.0);
  EXPECT_EQ(config.warmup_steps, 0);
  EXPECT_EQ(config.decay, "cosine");
  EXPECT_EQ(config.final_fraction, 0.1);
}

TEST(OptimizerConfig, RefusesImpossibleValues) {
  const auto refused = [](const std::string& override, const std::string& part) {
    test::expect_error(ExitCode::deck, part, [&] { read({override}); });
  };
  refused("optimizer.name=adam", "adamw");
  refused("optimizer.learning_rate=-1.0", "learning_rate: is -1");
  refused("optimizer.beta1=1.0", "beta1: is 1, expected less than 1");
  refused("optimizer.beta2=-0.1", "beta2: is -0.1");
  refused("optimizer.epsilon=0.0", "epsilon: is 0");
  refused("optimizer.weight_decay=-0.1", "weight_decay: is -0.1");
  refused("optimizer.warmup_steps=-1", "warmup_steps: is -1");
  refused("optimizer.decay=step", "decay");
  refused("optimizer.final_fraction=1.5", "final_fraction: is 1.5");
}

TEST(OptimizerConfig, ReadsMuonsKeys) {
  const auto config = read({"optimizer.name=muon"});
  EXPECT_EQ(config.momentum, 0.95);
  EXPECT_TRUE(config.nesterov);
  EXPECT_EQ(config.matrix_fraction, 1.0);
  EXPECT_EQ(config.vector_fraction, 0.5);
  EXPECT_EQ(config.weight_decay, 0.01);
  const auto set = read({"optimizer.name=muon", "optimizer.momentum=0.9", "optimizer.nesterov=false",
                         "optimizer.matrix_fraction=2.0", "optimizer.vector_fraction=0.1"});
  EXPECT_EQ(set.momentum, 0.9);
  EXPECT_FALSE(set.nesterov);
  EXPECT_EQ(set.matrix_fraction, 2.0);
  EXPECT_EQ(set.vector_fraction, 0.1);

  const auto refused = [](const std::vector<std::string>& overrides, const std::string& part) {
    test::expect_error(ExitCode::deck, part, [&] { read(overrides); });
  };
  refused({"optimizer.name=muon", "optimizer.momentum=1.0"}, "momentum: is 1, expected less than 1");
  refused({"optimizer.name=muon", "optimizer.vector_fraction=-0.5"}, "vector_fraction: is -0.5");
  refused({"optimizer.name=muon", "optimizer.matrix_fraction=-1.0"}, "matrix_fraction: is -1");
  for (const std::string key :
       {"momentum=0.9", "nesterov=true", "matrix_fraction=1.0", "vector_fraction=0.5"}) {
    refused({"optimizer." + key}, "is a key of name = \"muon\"");
  }
}

TEST(OptimizerConfig, ReadsTheKeysOfBases) {
  const auto config = read({"optimizer.name=basis-rotation"});
  EXPECT_EQ(config.source, "second");
  EXPECT_TRUE(config.two_sided);
  EXPECT_TRUE(config.stagger);
  EXPECT_EQ(config.refresh, 10);
  EXPECT_TRUE(config.stage_refresh.empty());
  EXPECT_EQ(config.beta2, 0.999);
  EXPECT_EQ(config.weight_decay, 0.01);
  const auto set =
      read({"optimizer.name=basis-rotation", "optimizer.source=first", "optimizer.two_sided=false",
            "optimizer.refresh=7", "optimizer.stage_refresh=[3, 9]", "optimizer.stagger=false"});
  EXPECT_EQ(set.source, "first");
  EXPECT_FALSE(set.two_sided);
  EXPECT_FALSE(set.stagger);
  EXPECT_EQ(set.refresh, 7);
  EXPECT_EQ(set.stage_refresh, (std::vector<int>{3, 9}));
  const auto soap = read({"optimizer.name=soap", "optimizer.refresh=5"});
  EXPECT_EQ(soap.refresh, 5);
  EXPECT_EQ(soap.beta1, 0.95);
  EXPECT_EQ(soap.beta2, 0.95);
  const auto nadam = read({"optimizer.name=nadam"});
  EXPECT_EQ(nadam.beta1, 0.99);
  EXPECT_EQ(nadam.beta2, 0.999);

  const auto refused = [](const std::vector<std::string>& overrides, const std::string& part) {
    test::expect_error(ExitCode::deck, part, [&] { read(overrides); });
  };
  for (const std::string name : {"basis-rotation", "soap"}) {
    refused({"optimizer.name=" + name, "optimizer.refresh=0"}, "refresh: is 0, expected at least 1");
  }
  refused({"optimizer.name=basis-rotation", "optimizer.stage_refresh=[4, 0]"}, "stage_refresh: is 0");
  refused({"optimizer.name=basis-rotation", "optimizer.source=third"}, "source");
  refused({"optimizer.refresh=5"}, "is a key of name = \"basis-rotation\" and \"soap\"");
  for (const std::string key : {"source=first", "two_sided=true", "stage_refresh=[1]", "stagger=true"}) {
    for (const std::string name : {"adamw", "soap", "muon"}) {
      refused({"optimizer.name=" + name, "optimizer." + key}, "is a key of name = \"basis-rotation\"");
    }
  }
}

TEST(RefreshInterval, FollowsTheStagesDelay) {
  auto config = read({"optimizer.name=basis-rotation"});
  EXPECT_EQ(config.refresh_interval({}), 10) << "no stage has a delay";
  // 4 stages with delays 3, 2, 1, 0: the same number of refreshes as every 10th update, but for the last.
  EXPECT_EQ(config.refresh_interval({.stage = 0, .updates = 3.0, .mean = 1.5}), 5);
  EXPECT_EQ(config.refresh_interval({.stage = 1, .updates = 2.0, .mean = 1.5}), 8);
  EXPECT_EQ(config.refresh_interval({.stage = 2, .updates = 1.0, .mean = 1.5}), 15);
  EXPECT_EQ(config.refresh_interval({.stage = 3, .updates = 0.0, .mean = 1.5}), 100);
  EXPECT_EQ(config.refresh_interval({.stage = 30, .updates = 1.0, .mean = 15.5}), 100);
  config.refresh = 1;
  EXPECT_EQ(config.refresh_interval({.stage = 0, .updates = 31.0, .mean = 15.5}), 1);
  config.stage_refresh = {2, 30};
  EXPECT_EQ(config.refresh_interval({.stage = 1, .updates = 3.0, .mean = 1.5}), 30);
}

TEST(OptimizerConfig, ReadsTheKeysOfDelays) {
  const auto config = read();
  EXPECT_FALSE(config.lr_delay_correction);
  EXPECT_EQ(config.delay_compensation, 0.0);
  EXPECT_EQ(read({"optimizer.warmup_steps=20"}).lr_delay_steps, 100);
  const auto set = read({"optimizer.lr_delay_correction=true", "optimizer.lr_delay_steps=7",
                         "optimizer.delay_compensation=0.04"});
  EXPECT_TRUE(set.lr_delay_correction);
  EXPECT_EQ(set.lr_delay_steps, 7);
  EXPECT_EQ(set.delay_compensation, 0.04);

  const auto refused = [](const std::vector<std::string>& overrides, const std::string& part) {
    test::expect_error(ExitCode::deck, part, [&] { read(overrides); });
  };
  refused({"optimizer.lr_delay_correction=true"}, "lr_delay_steps: is 0, expected more than 0");
  refused({"optimizer.lr_delay_steps=-1"}, "lr_delay_steps: is -1");
  refused({"optimizer.delay_compensation=-0.1"}, "delay_compensation: is -0.1");
}

TEST(LearningRate, IsDividedByTheDelayUntilTheCorrectionFades) {
  const auto config = read({"optimizer.lr_delay_correction=true", "optimizer.lr_delay_steps=4"});
  EXPECT_DOUBLE_EQ(config.delay_factor(16.0, 0), 1.0 / 16.0);
  EXPECT_DOUBLE_EQ(config.delay_factor(16.0, 1), 1.0 / 8.0);
  EXPECT_DOUBLE_EQ(config.delay_factor(16.0, 2), 1.0 / 4.0);
  EXPECT_EQ(config.delay_factor(16.0, 4), 1.0);
  EXPECT_EQ(config.delay_factor(16.0, 400), 1.0);
  EXPECT_EQ(config.delay_factor(1.0, 0), 1.0);
  EXPECT_EQ(config.delay_factor(0.5, 0), 1.0) << "fresh gradients would be sped up";
  EXPECT_EQ(config.delay_factor(0.0, 0), 1.0);
  EXPECT_EQ(read().delay_factor(16.0, 0), 1.0);
}

struct RateRow {
  std::int64_t step;
  double cosine, linear, constant;
};

// learning_rate 1, 4 steps of warm-up, 13 steps in all, final_fraction 0.1: the decay takes 8 intervals.
constexpr std::array<RateRow, 8> rates{{{0, 0.25, 0.25, 0.25},
                                        {2, 0.75, 0.75, 0.75},
                                        {3, 1.0, 1.0, 1.0},
                                        {4, 1.0, 1.0, 1.0},
                                        {6, 0.868198051533946, 0.775, 1.0},
                                        {8, 0.55, 0.55, 1.0},
                                        {10, 0.231801948466054, 0.325, 1.0},
                                        {12, 0.1, 0.1, 1.0}}};

TEST(LearningRate, FollowsTheTable) {
  for (const std::string decay : {"cosine", "linear", "constant"}) {
    const auto config =
        read({"optimizer.learning_rate=1.0", "optimizer.warmup_steps=4", "optimizer.decay=" + decay});
    for (const auto& row : rates) {
      const double expected = decay == "cosine" ? row.cosine : decay == "linear" ? row.linear : row.constant;
      EXPECT_NEAR(config.rate_at(row.step, 13), expected, 1e-14) << decay << ", step " << row.step;
    }
  }
}

TEST(LearningRate, StaysFiniteInRunsShorterThanTheWarmUp) {
  const auto config = read({"optimizer.warmup_steps=10"});
  EXPECT_DOUBLE_EQ(config.rate_at(0, 5), 1e-4);
  EXPECT_DOUBLE_EQ(config.rate_at(4, 5), 5e-4);
  EXPECT_DOUBLE_EQ(read().rate_at(0, 1), 1e-3);
  EXPECT_DOUBLE_EQ(read().rate_at(50, 10), 1e-4);  // a run continued beyond its steps
}

TEST(Clipping, ScalesGradientsOnlyAboveTheLimit) {
  const auto config = read({"optimizer.clip=2.0"});
  EXPECT_EQ(config.clip_factor(1.9), 1.0);
  EXPECT_EQ(config.clip_factor(2.0), 1.0);
  EXPECT_DOUBLE_EQ(config.clip_factor(8.0), 0.25);
  EXPECT_EQ(read({"optimizer.clip=0"}).clip_factor(1e9), 1.0);
  EXPECT_EQ(read({"optimizer.clip=-1.0"}).clip_factor(1e9), 1.0);
}

}  // namespace
}  // namespace strait::optim
