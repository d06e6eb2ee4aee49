#pragma once
// Spectral norms, by power iteration on the host.

#include "support/tensors.hpp"

#include <cmath>
#include <vector>

namespace strait::test {

/// |a^T a - I|_2 of a [d, r], the distance of a's columns from orthonormal, worked out in double. Power
/// iteration approaches it from below.
template <class View>
double orthonormality_error(const ExecutionSpace& exec, const View& a, int iterations = 100) {
  const auto host = to_host(exec, a);
  const std::size_t height = host.extent(0), width = host.extent(1);
  std::vector<double> error(width * width);
  for (std::size_t k = 0; k < height; ++k) {
    for (std::size_t i = 0; i < width; ++i) {
      for (std::size_t j = 0; j < width; ++j) error[i * width + j] += double(host(k, i)) * double(host(k, j));
    }
  }
  for (std::size_t i = 0; i < width; ++i) error[i * width + i] -= 1.0;
  std::vector<double> x(width), y(width);
  const Philox random(1, 99);
  for (std::size_t i = 0; i < width; ++i) x[i] = random.normal(i);
  double norm = 0.0;
  for (int iteration = 0; iteration < iterations; ++iteration) {
    double before = 0.0, after = 0.0;
    for (std::size_t i = 0; i < width; ++i) {
      y[i] = 0.0;
      for (std::size_t j = 0; j < width; ++j) y[i] += error[i * width + j] * x[j];
      before += x[i] * x[i];
      after += y[i] * y[i];
    }
    norm = std::sqrt(after / before);
    if (!(norm > 0.0)) return norm;  // zero, or not a number
    for (std::size_t i = 0; i < width; ++i) x[i] = y[i] / std::sqrt(after);
  }
  return norm;
}

}  // namespace strait::test
