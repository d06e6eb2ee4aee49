// Every gradient of a whole model against finite differences.
#include "strait/model/stage.hpp"

#include "support/finite_difference.hpp"
#include "support/llama.hpp"

#include <gtest/gtest.h>

namespace strait::model {
namespace {

/// Loss of slot 0, scaled as its gradients are.
constexpr double loss_scale = 0.1;
double loss(Stage<double>& stage, const Vector<double>& weights) {
  stage.forward(0, weights);
  return loss_scale * stage.evaluate(0, weights);
}

class StageGradient : public ::testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(Embeddings, StageGradient, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "Tied" : "Untied"; });

TEST_P(StageGradient, OfEveryParameter) {
  const ExecutionSpace exec;
  const auto config = test::tiny_llama(2, GetParam());
  Stage<double> stage(exec, config, test::whole_model(config), {.sequences = 2});
  const auto weights = test::lively_weights<double>(exec, stage.layout());
  test::fill_tokens(exec, stage, 0, 1);

  stage.forward(0, weights);
  stage.backward(0, weights, loss_scale);
  for (std::size_t i = 0; i < stage.layout().entries().size(); ++i) {
    const int index = static_cast<int>(i);
    test::expect_gradient(exec, stage.layout().entries()[i].name, stage.layout().view(weights, index),
                          stage.layout().view(stage.gradients(), index),
                          [&] { return loss(stage, weights); });
  }
}

TEST(StageInputGradient, OfAStageWithoutTokenTable) {
  const ExecutionSpace exec;
  const auto config = test::tiny_llama(2, false);
  Stage<double> stage(exec, config, {0, 2, false, true}, {.sequences = 2});
  const auto weights = test::lively_weights<double>(exec, stage.layout());
  test::fill_tokens(exec, stage, 0, 1);
  Kokkos::deep_copy(exec, stage.input(0),
                    test::random_matrix<double>(exec, stage.tokens(), config.hidden, 3));

  stage.forward(0, weights);
  stage.backward(0, weights, loss_scale);
  test::expect_gradient(exec, "input", stage.input(0), stage.input_gradient(),
                        [&] { return loss(stage, weights); });
}

TEST(StageLoss, IsTheSumOfAllBackwards) {
  const ExecutionSpace exec;
  const auto config = test::tiny_llama(1, false);
  Stage<double> stage(exec, config, test::whole_model(config), {.sequences = 2, .slots = 2});
  const auto weights = test::lively_weights<double>(exec, stage.layout());
  double expected = 0.0;
  for (int slot = 0; slot < 2; ++slot) {
    test::fill_tokens(exec, stage, slot, 10 + slot);
    stage.forward(slot, weights);
    expected += stage.evaluate(slot, weights);
    stage.backward(slot, weights, 0.5);
  }
  EXPECT_NEAR(stage.take_loss(), expected, 1e-13 * expected);
  EXPECT_EQ(stage.take_loss(), 0.0);
}

}  // namespace
}  // namespace strait::model
