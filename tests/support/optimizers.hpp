#pragma once
// Optimisers for tests.

#include "strait/optim/optimizer.hpp"

#include <string>

namespace strait::test {

/// At a rate that stays, with decay of weights.
inline optim::OptimizerConfig constant_rate(const std::string& name, double learning_rate,
                                            double clip = 0.0) {
  return {.name = name,
          .learning_rate = learning_rate,
          .beta1 = 0.9,
          .beta2 = 0.95,
          .epsilon = 1e-8,
          .weight_decay = 0.1,
          .clip = clip,
          .warmup_steps = 0,
          .decay = "constant",
          .final_fraction = 1.0};
}

}  // namespace strait::test
