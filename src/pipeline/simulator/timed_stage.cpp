#include "strait/pipeline/timed_stage.hpp"

#include <chrono>
#include <thread>

namespace strait::pipeline {

template <class T>
TimedStage<T>::TimedStage(const ExecutionSpace& exec, const model::LlamaConfig& config,
                          const model::StageSpan& span, const model::StageOptions& options,
                          const std::vector<LayerProfile>& layers)
    : model::Stage<T>(exec, config, span, options),
      between_layers_(options.between_layers),
      first_(span.embeds ? -1 : 0) {
  ensure(std::ssize(layers) == config.layers + 2, "a time for the table, each block and the head");
  const int first = span.embeds ? 0 : span.first_layer + 1;
  const int last = span.last_layer + (span.has_head ? 1 : 0);
  for (int i = first; i <= last; ++i) {
    forward_.push_back(layers[i].forward.median);
    backward_input_.push_back(layers[i].backward_input.median);
    backward_weight_.push_back(layers[i].backward_weight.median);
  }
}

template <class T>
void TimedStage<T>::wait(const std::vector<double>& seconds, bool back) const {
  using Clock = std::chrono::steady_clock;
  const int layers = static_cast<int>(seconds.size());
  auto until = Clock::now();  // the sum: what a wait is late the next one makes up for
  for (int i = 0; i < layers; ++i) {
    const int at = back ? layers - 1 - i : i;
    until += std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds[at]));
    std::this_thread::sleep_until(until);
    if (between_layers_) between_layers_(first_ + at);
  }
}

template <class T>
void TimedStage<T>::forward(int /*slot*/, const model::Weights<T>& /*weights*/) {
  wait(forward_, false);
}

template <class T>
void TimedStage<T>::backward(int /*slot*/, const model::Weights<T>& /*weights*/, double /*loss_scale*/) {
  std::vector<double> both = backward_input_;
  for (std::size_t i = 0; i < both.size(); ++i) both[i] += backward_weight_[i];
  wait(both, true);
}

template <class T>
void TimedStage<T>::backward_input(int /*slot*/, const model::Weights<T>& /*weights*/,
                                   double /*loss_scale*/) {
  wait(backward_input_, true);
}

template <class T>
void TimedStage<T>::backward_weight(int /*slot*/) {
  wait(backward_weight_, true);
}

template class TimedStage<float>;
template class TimedStage<double>;

}  // namespace strait::pipeline
