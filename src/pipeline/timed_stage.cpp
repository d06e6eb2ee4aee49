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
      embeds_(span.embeds),
      has_head_(span.has_head) {
  ensure(std::ssize(layers) == config.layers + 2, "a time for the table, each block and the head");
  const int first = span.embeds ? 0 : span.first_layer + 1;
  const int last = span.last_layer + (span.has_head ? 1 : 0);
  for (int i = first; i <= last; ++i) {
    forward_.push_back(layers[i].forward.median);
    backward_input_.push_back(layers[i].backward_input.median);
    backward_weight_.push_back(layers[i].backward_weight.median);
    backward_.push_back(backward_input_.back() + backward_weight_.back());
  }
}

template <class T>
void TimedStage<T>::wait(const std::vector<double>& seconds, Pass pass) const {
  using Clock = std::chrono::steady_clock;
  auto until = Clock::now();  // the sum: what a wait is late the next one makes up for
  const std::size_t layers = seconds.size();
  for (std::size_t n = 0; n < layers; ++n) {
    const std::size_t i = pass == Pass::forward ? n : layers - 1 - n;
    until += std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds[i]));
    std::this_thread::sleep_until(until);
    const bool after_table = embeds_ && i == 0 && pass != Pass::forward;
    const bool after_head = has_head_ && i + 1 == layers && pass == Pass::weights;
    if (between_layers_ && !after_table && !after_head) between_layers_();
  }
}

template <class T>
void TimedStage<T>::forward(int /*slot*/, const Vector<T>& /*weights*/) {
  wait(forward_, Pass::forward);
}

template <class T>
void TimedStage<T>::backward(int /*slot*/, const Vector<T>& /*weights*/, double /*loss_scale*/) {
  wait(backward_, Pass::backward);
}

template <class T>
void TimedStage<T>::backward_input(int /*slot*/, const Vector<T>& /*weights*/, double /*loss_scale*/) {
  wait(backward_input_, Pass::backward);
}

template <class T>
void TimedStage<T>::backward_weight(int /*slot*/) {
  wait(backward_weight_, Pass::weights);
}

template class TimedStage<float>;
template class TimedStage<double>;

}  // namespace strait::pipeline
