#pragma once
// The anchors of one stage, as each of its codec ends sees them.

#include "strait/codec/projection.hpp"

namespace strait::codec {

template <class T>
class StageAnchors {
 public:
  /// Of `stage`, which one of its ends at the boundary of `shape` holds.
  StageAnchors(const ExecutionSpace& exec, const ProjectionOptions& options, const BoundaryShape& shape,
               int stage);

  bool factorized() const { return kind_ == AnchorKind::factorized; }
  /// A table of width hidden: `full` or `static`.
  bool wide() const { return kind_ == AnchorKind::full || kind_ == AnchorKind::fixed; }
  bool trained() const { return factorized() || kind_ == AnchorKind::full; }
  bool any() const { return kind_ != AnchorKind::none; }

  ConstMatrix<T> table() const { return table_; }          ///< E [vocab, rank] or [vocab, hidden]
  const Matrix<T>& gradient() const { return gradient_; }  ///< of a trained table
  const Matrix<T>& factor() const { return factor_; }      ///< P [rank, hidden] where factorised

  /// anchors.<stage>.weight, once per stage.
  void add_parameters(model::ParameterLayout& layout);
  void lend(const model::ParameterLayout& layout, const Vector<T>& weights, const Vector<T>& gradients);

  /// y [tokens, hidden] = x - E[ids], of a wide table.
  void subtract(const ExecutionSpace& exec, const Matrix<T>& y, ConstMatrix<T> x, const TokenIds& ids) const;

  /// P.
  void save(const ExecutionSpace& exec, io::Group group) const;
  void load(const ExecutionSpace& exec, const io::Group& group);

  std::int64_t state_bytes() const;

 private:
  std::string name() const;
  void start_at_token_table() const;

  ExecutionSpace exec_;
  AnchorKind kind_;
  bool from_table_;
  int stage_, rank_, hidden_, vocab_;
  std::uint64_t seed_;
  Matrix<T> table_, gradient_, factor_;
};

extern template class StageAnchors<float>;
extern template class StageAnchors<double>;

}  // namespace strait::codec
