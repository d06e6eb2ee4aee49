// What is done about late gradients, around any optimiser.
#include "strait/optim/optimizer.hpp"

#include "support/optimizers.hpp"
#include "support/temporary_directory.hpp"
#include "support/tensors.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace strait::optim {
namespace {

model::ParameterLayout small_layout() {
  model::ParameterLayout layout;
  layout.add("gain", model::ParameterRole::gain, 1, 5);
  layout.add("w", model::ParameterRole::matrix, 4, 6);
  return layout;
}

/// The weights after one update from `start`, on the host.
auto after_update(Optimizer<double>& optimizer, const Vector<double>& gradients, const UpdateInfo& info,
                  const ConstVector<double>& then = {}) {
  const ExecutionSpace exec;
  const auto weights = test::random_vector<double>(exec, gradients.size(), 1);
  optimizer.update(exec, weights, gradients, info, then);
  return to_host(exec, weights);
}

TEST(Delay, LowersTheRateOfLateStagesAlone) {
  const ExecutionSpace exec;
  const auto layout = small_layout();
  const auto gradients = test::random_vector<double>(exec, layout.size(), 2);
  for (const std::string name : {"adamw", "muon"}) {
    auto config = test::constant_rate(name, 1e-2);
    const auto plain = make_optimizer<double>(config, layout, {.updates = 9.0});
    const auto expected = after_update(*plain, gradients, {.step = 2, .learning_rate = 1e-2 / 3.0});
    config.lr_delay_correction = true;
    config.lr_delay_steps = 4;
    const auto late = make_optimizer<double>(config, layout, {.updates = 9.0});
    const auto found = after_update(*late, gradients, {.step = 2, .learning_rate = 1e-2});
    const auto fresh = make_optimizer<double>(config, layout, {.updates = 0.0});
    const auto whole = after_update(*fresh, gradients, {.step = 2, .learning_rate = 1e-2});
    for (std::size_t i = 0; i < found.extent(0); ++i) {
      EXPECT_NEAR(found(i), expected(i), 1e-15) << name;
      EXPECT_NE(found(i), whole(i)) << name;
    }
  }
}

TEST(Delay, CompensatesGradientsForTheWeightsChangeSince) {
  const ExecutionSpace exec;
  const auto layout = small_layout();
  const auto gradients = test::random_vector<double>(exec, layout.size(), 2);
  const auto then = test::random_vector<double>(exec, layout.size(), 3);
  const auto compensated = test::random_vector<double>(exec, layout.size(), 2);
  auto g = to_host(exec, gradients);
  const auto now = to_host(exec, test::random_vector<double>(exec, layout.size(), 1));
  const auto before = to_host(exec, then);
  for (std::size_t i = 0; i < g.extent(0); ++i) {
    const double clipped = 0.5 * g(i);
    g(i) = clipped + 0.3 * clipped * clipped * (now(i) - before(i));
  }
  to_device(exec, compensated, g);
  auto config = test::constant_rate("adamw", 1e-2);
  config.epsilon = 0.1;  // or the first step would depend on signs alone
  const auto plain = make_optimizer<double>(config, layout, {.updates = 2.0});
  const auto expected = after_update(*plain, compensated, {.learning_rate = 1e-2});
  config.delay_compensation = 0.3;
  const auto late = make_optimizer<double>(config, layout, {.updates = 2.0});
  const auto found = after_update(*late, gradients, {.learning_rate = 1e-2, .gradient_scale = 0.5}, then);
  const auto without = after_update(*plain, gradients, {.learning_rate = 1e-2, .gradient_scale = 0.5});
  double difference = 0.0;
  for (std::size_t i = 0; i < found.extent(0); ++i) {
    EXPECT_NEAR(found(i), expected(i), 1e-14);
    difference += std::abs(found(i) - without(i));
  }
  EXPECT_GT(difference, 1e-3);
}

TEST(Delay, CountsItsMemoryAndKeepsTheStateOfItsOptimizer) {
  const ExecutionSpace exec;
  const auto layout = small_layout();
  const auto gradients = test::random_vector<double>(exec, layout.size(), 2);
  const auto then = test::random_vector<double>(exec, layout.size(), 3);
  auto config = test::constant_rate("adamw", 1e-2);
  config.lr_delay_correction = true;
  config.lr_delay_steps = 4;
  config.delay_compensation = 0.3;
  const StageDelay delay{.updates = 2.0};
  const auto optimizer = make_optimizer<double>(config, layout, delay);
  EXPECT_EQ(optimizer->state_bytes(), 3 * 8 * layout.size());
  EXPECT_EQ(optimizer->state_bytes(), state_bytes_needed<double>(config, layout, delay));
  EXPECT_EQ(state_bytes_needed<double>(config, layout), 2 * 8 * layout.size());

  after_update(*optimizer, gradients, {.learning_rate = 1e-2}, then);
  const test::TemporaryDirectory folder;
  auto file = io::File::create(folder.file("state.h5"));
  optimizer->save(exec, file.root());
  const UpdateInfo info{.step = 1, .learning_rate = 1e-2};
  const auto expected = after_update(*optimizer, gradients, info, then);
  const auto again = make_optimizer<double>(config, layout, delay);
  again->load(exec, file.root());
  const auto found = after_update(*again, gradients, info, then);
  for (std::size_t i = 0; i < found.extent(0); ++i) EXPECT_EQ(found(i), expected(i));
}

}  // namespace
}  // namespace strait::optim
