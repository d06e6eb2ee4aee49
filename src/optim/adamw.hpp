#pragma once
// AdamW over named parameters.

#include "strait/optim/optimizer.hpp"

#include <vector>

namespace strait::optim {

/// Parameters that lie one after the other and decay alike: one launch.
struct Run {
  std::int64_t offset;
  std::int64_t size;
  bool decays;
};

/// Loshchilov & Hutter 2019. Decay applies to matrices and the head, not to gains, the token table (tied or
/// not) and anchors.
template <class T>
class AdamW : public Optimizer<T> {
 public:
  AdamW(const OptimizerConfig& config, const model::ParameterLayout& layout);

  void update(const ExecutionSpace& exec, const Vector<T>& weights, ConstVector<T> gradients,
              const UpdateInfo& info) override;

  std::int64_t state_bytes() const override { return state_bytes_needed(layout_); }
  static std::int64_t state_bytes_needed(const model::ParameterLayout& layout) {
    return 2 * layout.size() * static_cast<std::int64_t>(sizeof(T));
  }

  /// mean/<name>, square/<name> and the attribute `step`.
  void save(const ExecutionSpace& exec, io::Group group) const override;
  void load(const ExecutionSpace& exec, const io::Group& group) override;

 private:
  OptimizerConfig config_;
  model::ParameterLayout layout_;
  std::vector<Run> runs_;
  Vector<T> mean_;         ///< of the gradient
  Vector<T> square_;       ///< of the gradient's square
  std::int64_t step_ = 0;  ///< updates so far
};

extern template class AdamW<float>;
extern template class AdamW<double>;

}  // namespace strait::optim
