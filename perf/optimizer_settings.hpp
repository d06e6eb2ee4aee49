#pragma once
// Optimisers of the benchmarks.

#include "strait/optim/optimizer.hpp"

#include <string>

namespace strait::perf {

/// Of a constant rate; everything else as in the decks.
inline optim::OptimizerConfig optimizer_settings(const std::string& name) {
  return {.name = name,
          .learning_rate = 1e-4,
          .beta1 = 0.9,
          .beta2 = 0.95,
          .epsilon = 1e-8,
          .weight_decay = 0.1,
          .clip = 1.0,
          .warmup_steps = 0,
          .decay = "constant",
          .final_fraction = 1.0};
}

}  // namespace strait::perf
