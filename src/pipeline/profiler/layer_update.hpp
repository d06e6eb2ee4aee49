#pragma once
// What a step does with the parameters of a layer once its gradients are there.

#include "strait/core/timer.hpp"
#include "strait/kernels/elementwise.hpp"
#include "strait/pipeline/config.hpp"

#include <algorithm>
#include <memory>

namespace strait::pipeline {

template <class T>
class LayerUpdate {
 public:
  LayerUpdate(const ExecutionSpace& exec, const PipelineSetup& setup, const model::ParameterLayout& layout)
      : exec_(exec),
        learning_rate_(setup.optimizer.learning_rate),
        optimizer_(optim::make_optimizer<T>(config_for(setup.optimizer, layout), layout)),
        weights_("strait::pipeline::profile_weights", layout.size()),
        gradients_("strait::pipeline::profile_gradients", layout.size()),
        zeroed_("strait::pipeline::profile_zeroed", layout.size()) {
    kernels::fill_normal<T>(exec, weights_, 0.02, 1, 0);
    kernels::fill_normal<T>(exec, gradients_, 1e-3, 1, 1);
  }

  double time() {
    fence(exec_, "strait::pipeline::profile_layers: an update begins");
    const Stopwatch watch;
    Kokkos::deep_copy(exec_, zeroed_, T(0));  // not the gradients, which the next repetition needs
    kernels::sum_of_squares<T>(exec_, gradients_);
    optimizer_->update(exec_, weights_, gradients_, {.step = step_++, .learning_rate = learning_rate_});
    fence(exec_, "strait::pipeline::profile_layers: the clock is read next");
    return watch.seconds();
  }

 private:
  /// Every optimiser leaves layers without matrices, token table and head, to AdamW.
  static optim::OptimizerConfig config_for(optim::OptimizerConfig config,
                                           const model::ParameterLayout& layout) {
    const auto& entries = layout.entries();
    if (std::none_of(entries.begin(), entries.end(), [](const model::ParameterInfo& parameter) {
          return parameter.role == model::ParameterRole::matrix;
        })) {
      config.name = "adamw";
    }
    return config;
  }

  ExecutionSpace exec_;
  double learning_rate_;
  std::unique_ptr<optim::Optimizer<T>> optimizer_;
  Vector<T> weights_, gradients_, zeroed_;
  std::int64_t step_ = 0;
};

}  // namespace strait::pipeline
