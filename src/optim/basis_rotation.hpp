#pragma once
// Adam in rotating bases for hidden matrices, AdamW for the rest.

#include "strait/optim/optimizer.hpp"

#include "adamw.hpp"
#include "rotated_matrices.hpp"

namespace strait::optim {

/// Basis rotation (arXiv 2602.03515), which survives late gradients: of each hidden matrix the running mean M
/// stays in the original basis, and Adam's scaling happens in an approximate eigenbasis U, V,
///
///   W <- (1 - rate decay) W - rate sqrt(1 - beta2^t) / (1 - beta1^t) U (U^T M V / (sqrt(S) + epsilon)) V^T,
///
/// S the mean square of U^T G V. The bases begin with the first gradient and follow every
/// `refresh_interval` updates, before the gradient is projected. Every named matrix has its own; a confined
/// matrix is AdamW's, which knows how to keep it confined.
template <class T>
class BasisRotation : public Optimizer<T> {
 public:
  /// Fails with ExitCode::deck where the layout has no matrix to rotate.
  BasisRotation(const OptimizerConfig& config, const model::ParameterLayout& layout, const StageDelay& delay);

  void update(const ExecutionSpace& exec, const Vector<T>& weights, ConstVector<T> gradients,
              const UpdateInfo& info, ConstVector<T> then) override;

  std::int64_t state_bytes() const override { return state_bytes_needed(config_, layout_); }
  /// Scratch included.
  static std::int64_t state_bytes_needed(const OptimizerConfig& config, const model::ParameterLayout& layout);

  /// As RotatedMatrices, beside AdamW's state of the rest.
  void save(const ExecutionSpace& exec, io::Group group) const override;
  void load(const ExecutionSpace& exec, const io::Group& group,
            const model::StoredName& stored_name) override;

 private:
  /// Whether matrix number `index` is refreshed in update `step_`.
  bool is_due(int index) const { return (step_ + (config_.stagger ? index : 0)) % interval_ == 0; }

  OptimizerConfig config_;
  model::ParameterLayout layout_;
  std::int64_t interval_;  ///< updates between refreshes of a basis
  RotatedMatrices<T> matrices_;
  AdamW<T> rest_;
  std::int64_t step_ = 0;  ///< updates so far
};

extern template class BasisRotation<float>;
extern template class BasisRotation<double>;

}  // namespace strait::optim
