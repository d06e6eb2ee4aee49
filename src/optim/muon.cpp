#include "muon.hpp"

#include "strait/kernels/elementwise.hpp"
#include "strait/model/parameter_io.hpp"

#include "muon_direction.hpp"

#include <algorithm>
#include <cmath>

namespace strait::optim {

template <class T>
typename Muon<T>::Extents Muon<T>::largest(const model::ParameterLayout& matrices) {
  Extents extents;
  for (const auto& info : matrices.entries()) {
    extents.longer = std::max({extents.longer, info.rows, info.columns});
    extents.shorter = std::max(extents.shorter, std::min(info.rows, info.columns));
  }
  return extents;
}

template <class T>
Muon<T>::Muon(const OptimizerConfig& config, const model::ParameterLayout& layout)
    : config_(config),
      layout_(layout),
      matrices_(select(layout, is_matrix)),
      momentum_("strait::optim::momentum", matrices_.size()),
      direction_("strait::optim::direction", largest(matrices_).longer * largest(matrices_).shorter),
      workspace_(largest(matrices_).longer, largest(matrices_).shorter),
      rest_(config, layout, is_not_matrix) {}

template <class T>
void Muon<T>::update(const ExecutionSpace& exec, const Vector<T>& weights, ConstVector<T> gradients,
                     const UpdateInfo& info, ConstVector<T>) {
  const Region region("strait::optim::muon");
  const double rate = config_.matrix_fraction * info.learning_rate;
  int index = 0;
  for (const auto& parameter : layout_.entries()) {
    if (!is_matrix(parameter)) continue;
    const auto momentum = matrices_.view(momentum_, index++);
    const auto direction = as_matrix(direction_, 0, parameter.rows, parameter.columns);
    const ConstMatrix<T> gradient(gradients.data() + parameter.offset, parameter.rows, parameter.columns);
    muon_direction<T>(
        exec, direction, momentum, gradient, workspace_,
        {.momentum = config_.momentum, .nesterov = config_.nesterov, .gradient_scale = info.gradient_scale});
    const double aspect = static_cast<double>(parameter.rows) / static_cast<double>(parameter.columns);
    const auto weight = as_matrix(weights, parameter.offset, parameter.rows, parameter.columns);
    kernels::combine<T>(exec, weight, -rate * std::sqrt(std::max(1.0, aspect)), direction,
                        1.0 - rate * config_.weight_decay, weight);
  }
  UpdateInfo rest = info;
  rest.learning_rate = config_.vector_fraction * info.learning_rate;
  rest_.update(exec, weights, gradients, rest, {});
}

template <class T>
std::int64_t Muon<T>::state_bytes_needed(const model::ParameterLayout& layout) {
  const auto matrices = select(layout, is_matrix);
  const Extents extents = largest(matrices);
  return (matrices.size() + extents.longer * extents.shorter) * static_cast<std::int64_t>(sizeof(T)) +
         kernels::PolarWorkspace<T>::bytes_needed(extents.longer, extents.shorter) +
         AdamW<T>::state_bytes_needed(layout, is_not_matrix);
}

template <class T>
void Muon<T>::save(const ExecutionSpace& exec, io::Group group) const {
  model::save_parameters(exec, group.require_group("momentum"), matrices_, momentum_);
  rest_.save(exec, group);
}

template <class T>
void Muon<T>::load(const ExecutionSpace& exec, const io::Group& group, const model::StoredName& stored_name) {
  model::load_parameters(exec, group.group("momentum"), matrices_, momentum_, stored_name);
  rest_.load(exec, group, stored_name);
}

template class Muon<float>;
template class Muon<double>;

}  // namespace strait::optim
