#pragma once
// A stage whose passes are timed layer by layer.

#include "strait/core/timer.hpp"
#include "strait/model/stage.hpp"
#include "strait/pipeline/config.hpp"

#include "random_tokens.hpp"

#include <algorithm>
#include <functional>
#include <vector>

namespace strait::pipeline {

/// Seconds of the layers of a stage with the table first and the head last.
using Laps = std::vector<double>;

/// A stage with table, head and the first blocks of the model; reads the clock where a pass has come to the
/// end of a layer.
template <class T>
class LapStage {
 public:
  LapStage(const ExecutionSpace& exec, const PipelineSetup& setup, int blocks, bool split_backward)
      : exec_(exec),
        stage_(exec, setup.model, {0, blocks, true, true},
               {.sequences = setup.sequences,
                .recompute = setup.recompute && !split_backward,
                .split_backward = split_backward,
                .seed = setup.seed,
                .bfloat16 = setup.bfloat16,
                .between_layers = [this](int) { lap(); }}) {
    random_tokens(exec, stage_.ids(0), setup.model.vocab, 0);
    random_tokens(exec, stage_.targets(0), setup.model.vocab, 1);
  }

  Laps forward() {
    return time([&] { stage_.forward(0, stage_.working_weights()); });  // the head: the last addition
  }
  Laps backward() {
    return reversed(time([&] { stage_.backward(0, stage_.working_weights(), scale()); }));
  }
  Laps backward_input() {
    return reversed(time([&] { stage_.backward_input(0, stage_.working_weights(), scale()); }));
  }
  Laps backward_weight() {
    Laps laps = reversed(time([&] { stage_.backward_weight(0); }));
    laps.push_back(0.0);  // the head's weights belong to the other half
    return laps;
  }

 private:
  double scale() const { return 1.0 / static_cast<double>(stage_.tokens()); }

  static Laps reversed(Laps laps) {
    std::reverse(laps.begin(), laps.end());
    return laps;
  }

  void lap() {
    fence(exec_, "strait::pipeline::profile_layers: the clock is read next");
    laps_.push_back(watch_.lap());
  }

  Laps time(const std::function<void()>& pass) {
    fence(exec_, "strait::pipeline::profile_layers: a pass begins");
    laps_.clear();
    watch_.lap();
    pass();
    lap();
    return laps_;
  }

  ExecutionSpace exec_;
  Stopwatch watch_;
  Laps laps_;
  model::Stage<T> stage_;
};

}  // namespace strait::pipeline
