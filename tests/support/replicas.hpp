#pragma once
// What the replicas of a stage have in common.

#include "strait/pipeline/pipeline.hpp"

#include "support/tensors.hpp"

#include <gtest/gtest.h>

namespace strait::test {

/// Replicas in this process hold the same gradients and weights, bit for bit.
template <class T>
void expect_same_bits(const ExecutionSpace& exec, pipeline::Pipeline<T>& pipeline) {
  const pipeline::Placement placement = pipeline.front().placement();
  if (static_cast<int>(pipeline.executors().size()) < placement.ranks()) return;
  for (auto& executor : pipeline.executors()) {
    if (executor->replica() == 0) continue;
    const int stage = placement.stage_of(executor->transport().rank());
    auto& first = pipeline.executors()[placement.rank_of(stage, 0)]->units();
    for (std::size_t chunk = 0; chunk < first.size(); ++chunk) {
      auto &a = first[chunk].stage(), &b = executor->units()[chunk].stage();
      EXPECT_EQ(relative_difference(exec, a.gradients(), b.gradients()), 0.0);
      EXPECT_EQ(relative_difference(exec, a.weights(), b.weights()), 0.0);
    }
  }
}

}  // namespace strait::test
