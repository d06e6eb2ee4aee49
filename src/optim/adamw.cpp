#include "adamw.hpp"

#include "strait/model/parameter_io.hpp"

#include <cmath>
#include <optional>
#include <utility>

namespace strait::optim {
namespace {

double nadam_momentum(double beta1, std::int64_t step) {
  return beta1 * (1.0 - 0.5 * std::pow(0.96, 0.004 * static_cast<double>(step)));
}

bool decays(model::ParameterRole role) {
  return role == model::ParameterRole::matrix || role == model::ParameterRole::head;
}

template <class View>
auto part(const View& flat, std::int64_t offset, std::int64_t size) {
  return Kokkos::subview(flat, std::make_pair(offset, offset + size));
}

}  // namespace

template <class T>
std::vector<typename AdamW<T>::Run> AdamW<T>::runs_of(const model::ParameterLayout& layout,
                                                      ParameterFilter chosen) {
  std::vector<Run> runs;
  std::int64_t state_offset = 0;
  for (const auto& info : layout.entries()) {
    if (!chosen(info)) continue;
    if (runs.empty() || runs.back().decays != decays(info.role) ||
        runs.back().offset + runs.back().size != info.offset ||
        runs.back().confinement != model::Confinement::none || info.confinement != model::Confinement::none) {
      runs.push_back({info.offset, state_offset, 0, decays(info.role), info.confinement, info.columns});
    }
    runs.back().size += info.size();
    state_offset += info.size();
  }
  return runs;
}

template <class T>
AdamW<T>::AdamW(const OptimizerConfig& config, const model::ParameterLayout& layout, ParameterFilter chosen)
    : config_(config),
      state_layout_(select(layout, chosen)),
      runs_(runs_of(layout, chosen)),
      mean_("strait::optim::mean", state_layout_.size()),
      square_("strait::optim::square", state_layout_.size()) {}

template <class T>
void AdamW<T>::update(const ExecutionSpace& exec, const Vector<T>& weights, ConstVector<T> gradients,
                      const UpdateInfo& info, ConstVector<T>) {
  const Region region("strait::optim::adamw");
  ++step_;
  std::optional<kernels::AdamWDirection> direction;
  if (config_.name == "nadam") direction = advance_momentum(step_);
  for (const auto& run : runs_) {
    update_run(exec, run, weights, gradients,
               {.learning_rate = info.learning_rate,
                .beta1 = config_.beta1,
                .beta2 = config_.beta2,
                .epsilon = config_.epsilon,
                .weight_decay = run.decays ? config_.weight_decay : 0.0,
                .gradient_scale = info.gradient_scale,
                .step = step_,
                .direction = direction});
  }
}

template <class T>
kernels::AdamWDirection AdamW<T>::advance_momentum(std::int64_t step) {
  const double now = nadam_momentum(config_.beta1, step), next = nadam_momentum(config_.beta1, step + 1);
  momentum_product_ *= now;
  return {next / (1.0 - momentum_product_ * next), (1.0 - now) / (1.0 - momentum_product_)};
}

template <class T>
void AdamW<T>::update_run(const ExecutionSpace& exec, const Run& run, const Vector<T>& weights,
                          ConstVector<T> gradients, const kernels::AdamWOptions& options) const {
  if (run.confinement == model::Confinement::none) {
    kernels::adamw<T>(exec, part(weights, run.offset, run.size), part(mean_, run.state_offset, run.size),
                      part(square_, run.state_offset, run.size), part(gradients, run.offset, run.size),
                      options);
    return;
  }
  const std::int64_t row_count = run.size / run.columns;
  const auto matrix = [&](const auto& flat, std::int64_t offset) {
    return as_matrix(flat, offset, row_count, run.columns);
  };
  const auto vectors =
      run.confinement == model::Confinement::rows ? kernels::Vectors::rows : kernels::Vectors::columns;
  kernels::adamw_of_vectors<T>(
      exec, matrix(weights, run.offset), matrix(mean_, run.state_offset), matrix(square_, run.state_offset),
      ConstMatrix<T>(gradients.data() + run.offset, row_count, run.columns), vectors, options);
}

template <class T>
void AdamW<T>::save(const ExecutionSpace& exec, io::Group group) const {
  model::save_parameters(exec, group.require_group("mean"), state_layout_, mean_);
  model::save_parameters(exec, group.require_group("square"), state_layout_, square_);
  group.set_attribute("step", step_);
  // Stages that update their weights at other rates have other numbers than the one that they all write.
  const io::Group means = group.group("mean");
  for (const model::ParameterInfo& info : state_layout_.entries()) {
    if (means.has(info.name)) means.dataset(info.name).set_attribute("step", step_);
  }
}

template <class T>
void AdamW<T>::load(const ExecutionSpace& exec, const io::Group& group,
                    const model::StoredName& stored_name) {
  model::load_parameters(exec, group.group("mean"), state_layout_, mean_, stored_name);
  model::load_parameters(exec, group.group("square"), state_layout_, square_, stored_name);
  step_ = group.attribute<std::int64_t>("step");
  const io::Group means = group.group("mean");
  for (const model::ParameterInfo& info : state_layout_.entries()) {
    const std::string name = stored_name(info);
    if (name.empty() || !means.has(name) || !means.dataset(name).has_attribute("step")) continue;
    step_ = means.dataset(name).template attribute<std::int64_t>("step");
    break;
  }
  momentum_product_ = 1.0;
  for (std::int64_t step = 1; step <= step_; ++step) momentum_product_ *= nadam_momentum(config_.beta1, step);
}

template class AdamW<float>;
template class AdamW<double>;

}  // namespace strait::optim
