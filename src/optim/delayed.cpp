#include "delayed.hpp"

#include "strait/kernels/delay_compensation.hpp"

#include <utility>

namespace strait::optim {

template <class T>
Delayed<T>::Delayed(std::unique_ptr<Optimizer<T>> optimizer, const OptimizerConfig& config,
                    const model::ParameterLayout& layout, const StageDelay& delay)
    : optimizer_(std::move(optimizer)), config_(config), delay_(delay) {
  if (compensates(config, delay)) {
    compensated_ = Vector<T>(Kokkos::view_alloc(Kokkos::WithoutInitializing, "strait::optim::compensated"),
                             layout.size());
  }
}

template <class T>
void Delayed<T>::update(const ExecutionSpace& exec, const Vector<T>& weights, ConstVector<T> gradients,
                        const UpdateInfo& info, ConstVector<T> then) {
  UpdateInfo own = info;
  own.learning_rate *= config_.delay_factor(delay_.updates, info.step / delay_.updates_per_step);
  if (compensated_.size() == 0) {
    optimizer_->update(exec, weights, gradients, own, then);
    return;
  }
  ensure(then.size() == weights.size(), "delay compensation: the weights that the gradients are of");
  kernels::compensate_delay<T>(
      exec, compensated_, gradients, weights, then,
      {.strength = config_.delay_compensation, .gradient_scale = info.gradient_scale});
  own.gradient_scale = 1.0;
  optimizer_->update(exec, weights, compensated_, own, then);
}

template class Delayed<float>;
template class Delayed<double>;

}  // namespace strait::optim
