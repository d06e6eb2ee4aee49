#include "soap.hpp"

#include "strait/kernels/elementwise.hpp"

#include <cmath>

namespace strait::optim {

template <class T>
Soap<T>::Soap(const OptimizerConfig& config, const model::ParameterLayout& layout)
    : config_(config),
      layout_(layout),
      matrices_(select(layout, is_rotated), {}),
      rest_(config, layout, is_not_rotated) {}

template <class T>
void Soap<T>::update(const ExecutionSpace& exec, const Vector<T>& weights, ConstVector<T> gradients,
                     const UpdateInfo& info, ConstVector<T>) {
  const Region region("strait::optim::soap");
  const auto t = static_cast<double>(step_);  // without the first gradient
  const double rate =
      info.learning_rate * std::sqrt(1.0 - std::pow(config_.beta2, t)) / (1.0 - std::pow(config_.beta1, t));
  const double kept = 1.0 - info.learning_rate * config_.weight_decay;
  int index = 0;
  for (const auto& parameter : layout_.entries()) {
    if (!is_rotated(parameter)) continue;
    const ConstMatrix<T> gradient(gradients.data() + parameter.offset, parameter.rows, parameter.columns);
    const bool updates = matrices_.has_basis(index);
    if (updates) {
      const auto mean = matrices_.mean(index);
      kernels::combine<T>(exec, mean, (1.0 - config_.beta1) * info.gradient_scale, gradient, config_.beta1,
                          mean);
      matrices_.scale_mean(exec, index, gradient, info.gradient_scale, config_.beta2, config_.epsilon);
      const auto weight = as_matrix(weights, parameter.offset, parameter.rows, parameter.columns);
      matrices_.step_along(exec, index, weight, -rate * kept, kept);
    }
    matrices_.gather(exec, index, gradient, info.gradient_scale, config_.beta2);
    if (!updates) {
      matrices_.start_basis(exec, index);
    } else if (step_ % config_.refresh == 0) {
      matrices_.refresh_basis(exec, index);
    }
    ++index;
  }
  ++step_;
  rest_.update(exec, weights, gradients, info, {});
}

template <class T>
std::int64_t Soap<T>::state_bytes_needed(const model::ParameterLayout& layout) {
  return RotatedMatrices<T>::bytes_needed(select(layout, is_rotated), {}) +
         AdamW<T>::state_bytes_needed(layout, is_not_rotated);
}

template <class T>
void Soap<T>::save(const ExecutionSpace& exec, io::Group group) const {
  matrices_.save(exec, group);
  rest_.save(exec, group);
}

template <class T>
void Soap<T>::load(const ExecutionSpace& exec, const io::Group& group, const model::StoredName& stored_name) {
  matrices_.load(exec, group, stored_name);
  rest_.load(exec, group, stored_name);
  step_ = rest_.steps();
}

template class Soap<float>;
template class Soap<double>;

}  // namespace strait::optim
