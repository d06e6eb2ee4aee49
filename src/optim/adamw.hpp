#pragma once
// AdamW and NAdam over named parameters.

#include "strait/kernels/adamw.hpp"
#include "strait/optim/optimizer.hpp"

#include "selection.hpp"

#include <vector>

namespace strait::optim {

/// Loshchilov & Hutter 2019. Decay applies to matrices and the head, not to gains, the token table (tied or
/// not) and anchors. Of a confined parameter the mean square is averaged over each vector that is confined:
/// every entry of `square` holds its vector's, so that the state can be read back whatever is confined then.
///
/// By the name "nadam", Dozat's "Incorporating Nesterov momentum into Adam" (2016) with decoupled decay: the
/// step follows mu_{t+1} m / (1 - mu_1 ... mu_{t+1}) + (1 - mu_t) g / (1 - mu_1 ... mu_t), where
/// mu_t = beta1 (1 - 0.96^{0.004 t} / 2).
template <class T>
class AdamW : public Optimizer<T> {
 public:
  /// For the `chosen` parameters of `layout`; the others are left as they are.
  AdamW(const OptimizerConfig& config, const model::ParameterLayout& layout,
        ParameterFilter chosen = every_parameter);

  void update(const ExecutionSpace& exec, const Vector<T>& weights, ConstVector<T> gradients,
              const UpdateInfo& info, ConstVector<T> then) override;

  std::int64_t state_bytes() const override { return bytes_of(state_layout_); }
  static std::int64_t state_bytes_needed(const model::ParameterLayout& layout,
                                         ParameterFilter chosen = every_parameter) {
    return bytes_of(select(layout, chosen));
  }

  /// mean/<name>, square/<name> and the attribute `step`.
  void save(const ExecutionSpace& exec, io::Group group) const override;
  void load(const ExecutionSpace& exec, const io::Group& group,
            const model::StoredName& stored_name) override;

  std::int64_t steps() const { return step_; }  ///< updates so far

 private:
  /// Parameters that lie one after the other and decay alike: one launch. A confined one is by itself.
  struct Run {
    std::int64_t offset;        ///< in weights and gradients
    std::int64_t state_offset;  ///< in mean and square
    std::int64_t size;
    bool decays;
    model::Confinement confinement = model::Confinement::none;
    std::int64_t columns = 0;  ///< of a confined parameter
  };

  void update_run(const ExecutionSpace& exec, const Run& run, const Vector<T>& weights,
                  ConstVector<T> gradients, const kernels::AdamWOptions& options) const;
  static std::vector<Run> runs_of(const model::ParameterLayout& layout, ParameterFilter chosen);
  static std::int64_t bytes_of(const model::ParameterLayout& state_layout) {
    return 2 * state_layout.size() * static_cast<std::int64_t>(sizeof(T));
  }

  /// Takes nadam's momentum to that of the next update; what it follows.
  kernels::AdamWDirection advance_momentum(std::int64_t step);

  OptimizerConfig config_;
  model::ParameterLayout state_layout_;
  std::vector<Run> runs_;
  Vector<T> mean_;    ///< of the gradient
  Vector<T> square_;  ///< of the gradient's square
  std::int64_t step_ = 0;
  double momentum_product_ = 1.0;  ///< mu_1 ... mu_t of nadam
};

extern template class AdamW<float>;
extern template class AdamW<double>;

}  // namespace strait::optim
