#pragma once
// SOAP for hidden matrices, AdamW for the rest.

#include "strait/optim/optimizer.hpp"

#include "adamw.hpp"
#include "rotated_matrices.hpp"

namespace strait::optim {

/// SOAP (Vyas et al., arXiv 2409.11321) as its authors' code has it: Adam in the eigenbases of Shampoo's L
/// and R. The first gradient only starts the bases. A gradient is projected on bases that do not know it:
/// they follow after the update, every `refresh` updates; decay follows the update too,
///
///   W <- (1 - rate decay) (W - rate sqrt(1 - beta2^t) / (1 - beta1^t) U (U^T M V / (sqrt(S) + epsilon))
///   V^T).
///
/// Their code rotates M with each change of basis, here it stays in the original one: the same numbers.
/// Confined matrices and all that is no hidden matrix are AdamW's, with the first gradient.
template <class T>
class Soap : public Optimizer<T> {
 public:
  /// Fails with ExitCode::deck where the layout has no matrix to rotate.
  Soap(const OptimizerConfig& config, const model::ParameterLayout& layout);

  void update(const ExecutionSpace& exec, const Vector<T>& weights, ConstVector<T> gradients,
              const UpdateInfo& info, ConstVector<T> then) override;

  std::int64_t state_bytes() const override { return state_bytes_needed(layout_); }
  /// Scratch included.
  static std::int64_t state_bytes_needed(const model::ParameterLayout& layout);

  /// As RotatedMatrices, beside AdamW's state of the rest.
  void save(const ExecutionSpace& exec, io::Group group) const override;
  void load(const ExecutionSpace& exec, const io::Group& group,
            const model::StoredName& stored_name) override;

 private:
  OptimizerConfig config_;
  model::ParameterLayout layout_;
  RotatedMatrices<T> matrices_;
  AdamW<T> rest_;
  std::int64_t step_ = 0;  ///< gradients so far
};

extern template class Soap<float>;
extern template class Soap<double>;

}  // namespace strait::optim
