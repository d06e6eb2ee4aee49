#pragma once
// A stage that takes its time without computing, to see what a schedule makes of given layer times with
// more ranks than there are processors.

#include "strait/model/stage.hpp"
#include "strait/pipeline/profile.hpp"

#include <vector>

namespace strait::pipeline {

/// The tensors are those of the stage of `config`, whose layers are as many as the timed ones; their values
/// mean nothing, and the loss is zero. The processor is free meanwhile.
template <class T>
class TimedStage : public model::Stage<T> {
 public:
  /// `layers`: token table, blocks and head of a whole model, of which the stage takes those of `span`.
  TimedStage(const ExecutionSpace& exec, const model::LlamaConfig& config, const model::StageSpan& span,
             const model::StageOptions& options, const std::vector<LayerProfile>& layers);

  void forward(int slot, const model::Weights<T>& weights) override;
  void backward(int slot, const model::Weights<T>& weights, double loss_scale) override;
  void backward_input(int slot, const model::Weights<T>& weights, double loss_scale) override;
  void backward_weight(int slot) override;

 private:
  /// Waits for each of these one after the other, from the last where `back`.
  void wait(const std::vector<double>& seconds, bool back) const;

  std::function<void(int)> between_layers_;
  int first_;  ///< of the layers below: 0, -1 for the table
  std::vector<double> forward_, backward_input_, backward_weight_;  ///< in the order of the layers
};

extern template class TimedStage<float>;
extern template class TimedStage<double>;

}  // namespace strait::pipeline
