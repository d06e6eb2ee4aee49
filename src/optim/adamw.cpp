#include "adamw.hpp"

#include "strait/kernels/adamw.hpp"
#include "strait/model/parameter_io.hpp"

#include <utility>

namespace strait::optim {
namespace {

bool decays(model::ParameterRole role) {
  return role == model::ParameterRole::matrix || role == model::ParameterRole::head;
}

std::vector<Run> runs_of(const model::ParameterLayout& layout) {
  std::vector<Run> runs;
  for (const auto& info : layout.entries()) {
    if (runs.empty() || runs.back().decays != decays(info.role)) {
      runs.push_back({info.offset, 0, decays(info.role)});
    }
    runs.back().size += info.size();
  }
  return runs;
}

template <class View>
auto part(const View& flat, const Run& run) {
  return Kokkos::subview(flat, std::make_pair(run.offset, run.offset + run.size));
}

}  // namespace

template <class T>
AdamW<T>::AdamW(const OptimizerConfig& config, const model::ParameterLayout& layout)
    : config_(config),
      layout_(layout),
      runs_(runs_of(layout)),
      mean_("strait::optim::mean", layout.size()),
      square_("strait::optim::square", layout.size()) {}

template <class T>
void AdamW<T>::update(const ExecutionSpace& exec, const Vector<T>& weights, ConstVector<T> gradients,
                      const UpdateInfo& info) {
  const Region region("strait::optim::adamw");
  ++step_;
  for (const auto& run : runs_) {
    kernels::adamw<T>(exec, part(weights, run), part(mean_, run), part(square_, run), part(gradients, run),
                      {.learning_rate = info.learning_rate,
                       .beta1 = config_.beta1,
                       .beta2 = config_.beta2,
                       .epsilon = config_.epsilon,
                       .weight_decay = run.decays ? config_.weight_decay : 0.0,
                       .gradient_scale = info.gradient_scale,
                       .step = step_});
  }
}

template <class T>
void AdamW<T>::save(const ExecutionSpace& exec, io::Group group) const {
  model::save_parameters(exec, group.require_group("mean"), layout_, mean_);
  model::save_parameters(exec, group.require_group("square"), layout_, square_);
  group.set_attribute("step", step_);
}

template <class T>
void AdamW<T>::load(const ExecutionSpace& exec, const io::Group& group) {
  model::load_parameters(exec, group.group("mean"), layout_, mean_);
  model::load_parameters(exec, group.group("square"), layout_, square_);
  step_ = group.attribute<std::int64_t>("step");
}

template class AdamW<float>;
template class AdamW<double>;

}  // namespace strait::optim
