#pragma once
// The anchors of one stage, as each of its codec ends sees them.

#include "strait/codec/projection.hpp"

namespace strait::codec {

/// Adds anchors.<stage>.weight to the layout of `stage`, once and where they are trained.
void add_anchors(model::ParameterLayout& layout, const ProjectionOptions& options, const BoundaryShape& shape,
                 int stage);

template <class T>
class StageAnchors {
 public:
  /// Of `stage`, which one of its ends at the boundary of `shape` holds.
  StageAnchors(const ExecutionSpace& exec, const ProjectionOptions& options, const BoundaryShape& shape,
               int stage);

  bool factorized() const { return options_.anchors == AnchorKind::factorized; }
  /// A table of width hidden: `full` or `static`.
  bool wide() const { return options_.anchors == AnchorKind::full || options_.anchors == AnchorKind::fixed; }
  bool trained() const { return factorized() || options_.anchors == AnchorKind::full; }
  bool any() const { return options_.anchors != AnchorKind::none; }

  ConstMatrix<T> table() const { return table_; }          ///< E [vocab, rank] or [vocab, hidden]
  const Matrix<T>& gradient() const { return gradient_; }  ///< of a trained table
  const Matrix<T>& factor() const { return factor_; }      ///< P [rank, hidden] where factorised

  void add_parameters(model::ParameterLayout& layout) { add_anchors(layout, options_, shape_, stage_); }
  void lend(const model::ParameterLayout& layout, const Vector<T>& weights, const Vector<T>& gradients);
  /// The table becomes that of another version of the lent weights.
  void use_weights(const model::Weights<T>& version);

  /// P.
  void save(const ExecutionSpace& exec, io::Group group) const;
  void load(const ExecutionSpace& exec, const io::Group& group);

  /// What is not the stage's own.
  static std::int64_t bytes_needed(const ProjectionOptions& options, const BoundaryShape& shape);

 private:
  void start_at_token_table() const;

  ExecutionSpace exec_;
  ProjectionOptions options_;
  BoundaryShape shape_;
  int stage_;
  Matrix<T> table_, gradient_, factor_;
  std::int64_t offset_ = 0;  ///< of a trained table in the stage's weights
};

extern template class StageAnchors<float>;
extern template class StageAnchors<double>;

}  // namespace strait::codec
