#pragma once
// The codecs that treat entries one by one or in groups, written out plainly on the host.

#include "strait/codec/quantised.hpp"
#include "strait/codec/top_k.hpp"
#include "strait/core/bits16.hpp"
#include "strait/core/host_mirror.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace strait::test {

template <class T>
T as_on_wire(T value, codec::Wire wire) {
  if (wire == codec::Wire::float64) return value;
  const auto single = static_cast<float>(value);
  if (wire == codec::Wire::float32) return static_cast<T>(single);
  return static_cast<T>(from_bfloat16(to_bfloat16(single)));
}

/// Levels and the scales of their groups, [tokens][hidden] and [tokens][groups]: integers, of two bits
/// halves.
template <class T>
struct PlainIntegers {
  template <class HostMatrix>
  PlainIntegers(const HostMatrix& x, const codec::QuantisedOptions& options)
      : group_size(options.group_size) {
    const bool even = options.bits == 2;
    const T limit = options.bits == 8 ? 127 : options.bits == 4 ? 7 : T(1.5), offset = even ? T(0.5) : 0;
    const int hidden = static_cast<int>(x.extent(1));
    for (std::size_t row = 0; row < x.extent(0); ++row) {
      values.emplace_back(hidden);
      scales.emplace_back();
      for (int begin = 0; begin < hidden; begin += group_size) {
        const int end = std::min(begin + group_size, hidden);
        T largest = 0;
        double sum = 0;
        for (int j = begin; j < end; ++j) {
          largest = std::max(largest, std::abs(x(row, j)));
          sum += std::abs(static_cast<double>(x(row, j)));
        }
        const T ideal = even ? T(1.25) * static_cast<T>(sum / (end - begin)) : largest / limit;
        const T scale = as_on_wire<T>(ideal, options.wire);
        const T inverse = scale > 0 ? 1 / scale : 0;
        for (int j = begin; j < end; ++j) {
          const T level = std::nearbyint(x(row, j) * inverse - offset) + offset;
          values.back()[j] = std::clamp(level, -limit, limit);
        }
        scales.back().push_back(scale);
      }
    }
  }

  T operator()(std::size_t row, int j) const { return values[row][j] * scales[row][j / group_size]; }

  int group_size;
  std::vector<std::vector<T>> values;
  std::vector<std::vector<T>> scales;
};

/// Columns of the k largest magnitudes of each row, ascending; of equal ones the lower column.
template <class HostMatrix>
std::vector<std::vector<int>> plain_top_k(const HostMatrix& x, int k) {
  std::vector<std::vector<int>> out;
  for (std::size_t row = 0; row < x.extent(0); ++row) {
    std::vector<int> columns(x.extent(1));
    std::iota(columns.begin(), columns.end(), 0);
    std::stable_sort(columns.begin(), columns.end(),
                     [&](int a, int b) { return std::abs(x(row, a)) > std::abs(x(row, b)); });
    columns.resize(k);
    std::sort(columns.begin(), columns.end());
    out.push_back(columns);
  }
  return out;
}

}  // namespace strait::test
