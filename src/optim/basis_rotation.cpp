#include "basis_rotation.hpp"

#include "strait/kernels/elementwise.hpp"

#include <cmath>

namespace strait::optim {
namespace {

RotationKind kind_of(const OptimizerConfig& config) {
  return {.from_mean = config.source == "first", .two_sided = config.two_sided};
}

}  // namespace

template <class T>
BasisRotation<T>::BasisRotation(const OptimizerConfig& config, const model::ParameterLayout& layout,
                                const StageDelay& delay)
    : config_(config),
      layout_(layout),
      interval_(config.refresh_interval(delay)),
      matrices_(select(layout, is_rotated), kind_of(config)),
      rest_(config, layout, is_not_rotated) {}

template <class T>
void BasisRotation<T>::update(const ExecutionSpace& exec, const Vector<T>& weights, ConstVector<T> gradients,
                              const UpdateInfo& info, ConstVector<T>) {
  const Region region("strait::optim::basis_rotation");
  ++step_;
  const auto t = static_cast<double>(step_);
  const double rate =
      info.learning_rate * std::sqrt(1.0 - std::pow(config_.beta2, t)) / (1.0 - std::pow(config_.beta1, t));
  int index = 0;
  for (const auto& parameter : layout_.entries()) {
    if (!is_rotated(parameter)) continue;
    const ConstMatrix<T> gradient(gradients.data() + parameter.offset, parameter.rows, parameter.columns);
    const auto mean = matrices_.mean(index);
    matrices_.gather(exec, index, gradient, info.gradient_scale, config_.beta2);
    kernels::combine<T>(exec, mean, (1.0 - config_.beta1) * info.gradient_scale, gradient, config_.beta1,
                        mean);
    if (!matrices_.has_basis(index)) {
      matrices_.start_basis(exec, index);
    } else if (is_due(index)) {
      matrices_.refresh_basis(exec, index);
    }
    matrices_.scale_mean(exec, index, gradient, info.gradient_scale, config_.beta2, config_.epsilon);
    const auto weight = as_matrix(weights, parameter.offset, parameter.rows, parameter.columns);
    matrices_.step_along(exec, index, weight, -rate, 1.0 - info.learning_rate * config_.weight_decay);
    ++index;
  }
  rest_.update(exec, weights, gradients, info, {});
}

template <class T>
std::int64_t BasisRotation<T>::state_bytes_needed(const OptimizerConfig& config,
                                                  const model::ParameterLayout& layout) {
  return RotatedMatrices<T>::bytes_needed(select(layout, is_rotated), kind_of(config)) +
         AdamW<T>::state_bytes_needed(layout, is_not_rotated);
}

template <class T>
void BasisRotation<T>::save(const ExecutionSpace& exec, io::Group group) const {
  matrices_.save(exec, group);
  rest_.save(exec, group);
}

template <class T>
void BasisRotation<T>::load(const ExecutionSpace& exec, const io::Group& group,
                            const model::StoredName& stored_name) {
  matrices_.load(exec, group, stored_name);
  rest_.load(exec, group, stored_name);
  step_ = rest_.steps();
}

template class BasisRotation<float>;
template class BasisRotation<double>;

}  // namespace strait::optim
