#pragma once
// Gradients against finite differences in double.

#include "strait/core/host_mirror.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>

namespace strait::test {

struct FiniteDifference {
  double step = 1e-3;         ///< the function should vary on a scale of about 1
  double tolerance = 1e-6;    ///< on |difference - gradient| / max(|gradient|, floor * largest |gradient|)
  double floor = 1e-3;        ///< entries below this share of the largest one are judged by the largest one
  std::int64_t entries = 64;  ///< entries checked, spread evenly
};

/// Checks `gradient` [n] or [m, n] of the scalar `function()`, which reads the contiguous tensor `parameter`,
/// by fourth-order central differences. Leaves `parameter` as it was.
///
///   expect_gradient(exec, "gain", gain, dgain, [&] { return loss(x, gain); });
template <class Parameter, class Gradient, class Function>
void expect_gradient(const ExecutionSpace& exec, const std::string& name, const Parameter& parameter,
                     const Gradient& gradient, Function&& function, FiniteDifference options = {}) {
  auto values = to_host(exec, parameter);
  const auto expected = to_host(exec, gradient);
  const auto count = static_cast<std::int64_t>(values.size());
  ASSERT_EQ(values.size(), expected.size()) << name;
  ASSERT_TRUE(parameter.span_is_contiguous()) << name;
  ASSERT_GT(count, 0) << name;

  double largest = 0.0;
  for (std::int64_t i = 0; i < count; ++i) {
    ASSERT_TRUE(std::isfinite(expected.data()[i])) << name << " entry " << i;
    largest = std::max(largest, std::abs(double(expected.data()[i])));
  }
  ASSERT_GT(largest, 0.0) << name << ": a gradient of zeros proves nothing";

  const std::int64_t checked = std::min(count, options.entries);
  for (std::int64_t sample = 0; sample < checked; ++sample) {
    const std::int64_t entry = sample * count / checked + sample % (count / checked);
    const auto original = values.data()[entry];
    const auto at = [&](double offset) {
      values.data()[entry] = original + offset;
      to_device(exec, parameter, values);
      return static_cast<double>(function());
    };
    const double h = options.step;
    const double difference = (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h);
    values.data()[entry] = original;
    const double derivative = expected.data()[entry];
    const double scale = std::max(std::abs(derivative), options.floor * largest);
    EXPECT_LT(std::abs(difference - derivative) / scale, options.tolerance)
        << name << " entry " << entry << ": difference " << difference << ", gradient " << derivative;
  }
  to_device(exec, parameter, values);
}

}  // namespace strait::test
