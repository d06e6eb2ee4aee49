#include "strait/kernels/adamw.hpp"

#include "support/tensors.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace strait::kernels {
namespace {

template <class T>
class AdamW : public ::testing::Test {};
using Scalars = ::testing::Types<float, double>;
TYPED_TEST_SUITE(AdamW, Scalars);

TYPED_TEST(AdamW, FollowsThePublishedRuleOverSeveralSteps) {
  using T = TypeParam;
  const ExecutionSpace exec;
  for (const int size : {0, 1, 37}) {
    const auto weights = test::random_vector<T>(exec, size, 1);
    const Vector<T> m("strait::test::m", size), v("strait::test::v", size);
    const auto initial = to_host(exec, weights);
    std::vector<double> w(size), mean(size, 0.0), square(size, 0.0);
    for (int i = 0; i < size; ++i) w[i] = initial(i);
    AdamWOptions options{.learning_rate = 0.01, .weight_decay = 0.1, .gradient_scale = 0.5};
    for (options.step = 1; options.step <= 5; ++options.step) {
      const auto gradients = test::random_vector<T>(exec, size, 10 + options.step);
      adamw<T>(exec, weights, m, v, gradients, options);
      const auto g = to_host(exec, gradients);
      for (int i = 0; i < size; ++i) {
        const double scaled = options.gradient_scale * g(i);
        mean[i] = options.beta1 * mean[i] + (1.0 - options.beta1) * scaled;
        square[i] = options.beta2 * square[i] + (1.0 - options.beta2) * scaled * scaled;
        w[i] -= options.learning_rate * options.weight_decay * w[i];
        const double corrected_mean = mean[i] / (1.0 - std::pow(options.beta1, options.step));
        const double corrected_square = square[i] / (1.0 - std::pow(options.beta2, options.step));
        w[i] -= options.learning_rate * corrected_mean / (std::sqrt(corrected_square) + options.epsilon);
      }
    }
    const auto host_w = to_host(exec, weights), host_m = to_host(exec, m), host_v = to_host(exec, v);
    const double tolerance = 16.0 * std::numeric_limits<T>::epsilon();
    for (int i = 0; i < size; ++i) {
      EXPECT_NEAR(host_w(i), w[i], tolerance);
      EXPECT_NEAR(host_m(i), mean[i], tolerance);
      EXPECT_NEAR(host_v(i), square[i], tolerance);
    }
  }
}

TYPED_TEST(AdamW, FirstStepMovesEachWeightByTheLearningRate) {
  using T = TypeParam;
  const ExecutionSpace exec;
  const Vector<T> weights("strait::test::weights", 3), m("strait::test::m", 3), v("strait::test::v", 3);
  const Vector<T> gradients("strait::test::gradients", 3);
  auto host = to_host(exec, gradients);
  host(0) = T(1e-3), host(1) = T(-5), host(2) = T(0);
  to_device(exec, gradients, host);
  adamw<T>(exec, weights, m, v, gradients, {.learning_rate = 0.25});
  const auto moved = to_host(exec, weights);
  EXPECT_NEAR(moved(0), -0.25, 1e-5);
  EXPECT_NEAR(moved(1), 0.25, 1e-5);
  EXPECT_EQ(moved(2), T(0));
}

TYPED_TEST(AdamW, WeightDecayIsDecoupledFromTheMoments) {
  using T = TypeParam;
  const ExecutionSpace exec;
  const auto weights = test::random_vector<T>(exec, 10, 1),
             before = test::random_vector<T>(exec, 10, 1, 0.75);
  const Vector<T> m("strait::test::m", 10), v("strait::test::v", 10), zero("strait::test::zero", 10);
  adamw<T>(exec, weights, m, v, zero, {.learning_rate = 0.5, .weight_decay = 0.5});
  EXPECT_LT(test::relative_difference(exec, weights, before), 4 * std::numeric_limits<T>::epsilon());
  EXPECT_EQ(test::relative_difference(exec, m, zero), 0.0);
  EXPECT_EQ(test::relative_difference(exec, v, zero), 0.0);
}

}  // namespace
}  // namespace strait::kernels
