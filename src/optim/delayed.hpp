#pragma once
// Any optimiser, with what is done about late gradients.

#include "strait/optim/optimizer.hpp"

namespace strait::optim {

/// Lowers the learning rate by OptimizerConfig::delay_factor and compensates gradients for the weights'
/// change since (kernels::compensate_delay), before the optimiser sees them.
template <class T>
class Delayed : public Optimizer<T> {
 public:
  Delayed(std::unique_ptr<Optimizer<T>> optimizer, const OptimizerConfig& config,
          const model::ParameterLayout& layout, const StageDelay& delay);

  /// Whether config asks for anything at this delay.
  static bool is_needed(const OptimizerConfig& config, const StageDelay& delay) {
    return compensates(config, delay) || (config.lr_delay_correction && delay.updates >= 1.0);
  }

  /// Compensation needs `then`.
  void update(const ExecutionSpace& exec, const Vector<T>& weights, ConstVector<T> gradients,
              const UpdateInfo& info, ConstVector<T> then) override;

  std::int64_t state_bytes() const override { return optimizer_->state_bytes() + bytes_of(compensated_); }
  /// Beside the optimiser's.
  static std::int64_t state_bytes_needed(const OptimizerConfig& config, const model::ParameterLayout& layout,
                                         const StageDelay& delay) {
    return compensates(config, delay) ? layout.size() * static_cast<std::int64_t>(sizeof(T)) : 0;
  }

  void save(const ExecutionSpace& exec, io::Group group) const override { optimizer_->save(exec, group); }
  void load(const ExecutionSpace& exec, const io::Group& group,
            const model::StoredName& stored_name) override {
    optimizer_->load(exec, group, stored_name);
  }

 private:
  static bool compensates(const OptimizerConfig& config, const StageDelay& delay) {
    return config.delay_compensation > 0.0 && delay.updates > 0.0;
  }
  static std::int64_t bytes_of(const Vector<T>& vector) {
    return static_cast<std::int64_t>(vector.size() * sizeof(T));
  }

  std::unique_ptr<Optimizer<T>> optimizer_;
  OptimizerConfig config_;
  StageDelay delay_;
  Vector<T> compensated_;  ///< gradients; empty without compensation
};

extern template class Delayed<float>;
extern template class Delayed<double>;

}  // namespace strait::optim
