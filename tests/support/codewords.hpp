#pragma once
// Codebooks and plain quantisation for tests.

#include "strait/kernels/codeword_statistics.hpp"

#include "support/tensors.hpp"

#include <vector>

namespace strait::test {

/// sum over tokens of |tiles|^2.
template <class T>
double squares_of_tiles(const ExecutionSpace& exec, const Matrix<T>& tiles) {
  return inner_product(exec, tiles, tiles);
}

template <class T>
Matrix<T> tiles_of(const ExecutionSpace& exec, const Matrix<T>& x) {
  const auto tiles = kernels::make_tiles<T>(x.extent(0), x.extent(1));
  kernels::to_tiles<T>(exec, tiles, x);
  return tiles;
}

/// Index of the codeword of `group` closest to a token, by the definition.
template <class HostX, class HostCodewords>
int nearest_by_definition(const HostX& x, const HostCodewords& codewords, const kernels::CodebookShape& shape,
                          std::int64_t token, int group) {
  int best = 0;
  double smallest = std::numeric_limits<double>::infinity();
  for (int k = 0; k < shape.codewords; ++k) {
    double distance = 0.0;
    for (int d = 0; d < shape.width; ++d) {
      const double difference = double(x(token, group * shape.width + d)) -
                                double(codewords(std::int64_t{group} * shape.codewords + k, d));
      distance += difference * difference;
    }
    if (distance < smallest) {
      smallest = distance;
      best = k;
    }
  }
  return best;
}

}  // namespace strait::test
