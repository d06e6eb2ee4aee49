#pragma once
// What every rank tells every other at the end of a list. Sums are then formed by each rank in the order of
// the ranks, so that they are bitwise the same everywhere, whatever the transport.

#include "strait/pipeline/transport.hpp"

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

namespace strait::pipeline {

/// Values that do not apply stay as they are.
struct RankRecord {
  double loss = 0.0;  ///< sum over tokens, nats; on the last stage
  int vote = 0;
  std::int32_t token = -1;              ///< chosen; on the last stage
  std::vector<double> sums_of_squares;  ///< of the gradients of each chunk's own parameters
};

class Reduction {
 public:
  explicit Reduction(Transport& transport) : transport_(transport) {}

  /// How many were started and not finished.
  std::size_t under_way() const { return gathers_.size(); }
  /// Records have as many sums on all ranks.
  void start(const RankRecord& record);

  /// The records of all ranks of the oldest one under way, once they are here; never waits.
  std::optional<std::vector<RankRecord>> finish();

 private:
  Transport& transport_;
  std::deque<int> gathers_;  ///< oldest first
};

}  // namespace strait::pipeline
