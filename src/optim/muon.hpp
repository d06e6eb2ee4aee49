#pragma once
// Muon for hidden matrices, AdamW for the rest.

#include "strait/kernels/msign.hpp"
#include "strait/optim/optimizer.hpp"

#include "adamw.hpp"

namespace strait::optim {

/// Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024), with Polar Express:
/// W [out, in] <- (1 - rate decay) W - rate sqrt(max(1, out / in)) msign(g + momentum m). Every named matrix
/// by itself: query, key and value have a direction each. Token table, gains, head and anchors are AdamW's,
/// at a rate of their own.
///
/// Of a matrix whose columns are confined to span(U), U^T U = I, the gradient is U G, so that m = U M and
/// msign(U M) = U msign(M): the step is Muon's on the free factor U^T W, and stays in the span.
template <class T>
class Muon : public Optimizer<T> {
 public:
  Muon(const OptimizerConfig& config, const model::ParameterLayout& layout);

  void update(const ExecutionSpace& exec, const Vector<T>& weights, ConstVector<T> gradients,
              const UpdateInfo& info, ConstVector<T> then) override;

  std::int64_t state_bytes() const override { return state_bytes_needed(layout_); }
  /// Scratch included.
  static std::int64_t state_bytes_needed(const model::ParameterLayout& layout);

  /// momentum/<name> of the matrices beside AdamW's state of the rest.
  void save(const ExecutionSpace& exec, io::Group group) const override;
  void load(const ExecutionSpace& exec, const io::Group& group,
            const model::StoredName& stored_name) override;

 private:
  /// A matrix that any of some matrices, or its transpose, fits into.
  struct Extents {
    std::int64_t longer = 0, shorter = 0;
  };
  static Extents largest(const model::ParameterLayout& matrices);

  OptimizerConfig config_;
  model::ParameterLayout layout_;
  model::ParameterLayout matrices_;  ///< of momentum_
  Vector<T> momentum_;
  Vector<T> direction_;  ///< of the matrix at hand
  kernels::PolarWorkspace<T> workspace_;
  AdamW<T> rest_;
};

extern template class Muon<float>;
extern template class Muon<double>;

}  // namespace strait::optim
