#pragma once
// The subspace of the codec ssn as one stage has it: U, the frozen table F, and the stage's confined
// parameters.

#include "strait/codec/subspace.hpp"

#include <vector>

namespace strait::codec {

template <class T>
class StageSubspace {
 public:
  StageSubspace(const ExecutionSpace& exec, const SubspaceOptions& options, const BoundaryShape& shape);

  const Matrix<T>& basis() const { return basis_; }  ///< U [hidden, rank]
  /// The U in which the last step's micro-batches were encoded.
  const Matrix<T>& basis_of_last_step() const { return changed_ ? next_ : basis_; }
  /// F [vocab, hidden], drawn when it is first asked for.
  const Matrix<T>& table();

  /// Marks what a stage in front of a boundary has to confine.
  static void confine(model::ParameterLayout& layout);
  /// Keeps the views of what is marked, and projects the weights.
  void lend(const model::ParameterLayout& layout, const Vector<T>& weights, const Vector<T>& gradients);

  void project_gradients(const ExecutionSpace& exec) const;

  /// Where the next U is put, to be taken up by `update`; with options.grassmann_interval alone.
  const Matrix<T>& prepare_next();
  const Matrix<T>& next() const { return next_; }
  /// After the optimiser: takes up the next U if there is one, projects the weights.
  void update(const ExecutionSpace& exec);

  void save(const ExecutionSpace& exec, io::Group group) const;
  /// U and what F follows from, of the first of `boundaries` that has them. Weights that lie in the subspace
  /// are left as they are, others are projected, with a line in `notes`.
  void load(const ExecutionSpace& exec, const std::vector<io::Group>& boundaries,
            std::vector<std::string>& notes);

  std::int64_t state_bytes() const;
  /// state_bytes() of a stage of this layout.
  static std::int64_t bytes_needed(const SubspaceOptions& options, const BoundaryShape& shape,
                                   const model::ParameterLayout& layout);

 private:
  struct Confined {
    std::string name;
    model::Confinement confinement;
    bool has_origin;  ///< the token table: F + span(U)
    Matrix<T> weight, gradient;
  };

  void project(const ExecutionSpace& exec, const Matrix<T>& m, model::Confinement confinement) const;
  void project_weight(const ExecutionSpace& exec, const Confined& confined) const;
  double distance(const ExecutionSpace& exec, const Confined& confined) const;
  void project_strays(const ExecutionSpace& exec, std::vector<std::string>& notes) const;

  ExecutionSpace exec_;
  SubspaceOptions options_;
  int hidden_, vocab_;
  std::uint64_t seed_;
  Matrix<T> basis_, next_, table_;
  bool has_next_ = false;
  bool changed_ = false;  ///< in the last update, which left the U before it in next_
  std::vector<Confined> confined_;
  Vector<T> coordinates_;  ///< of the tensor at hand
};

extern template class StageSubspace<float>;
extern template class StageSubspace<double>;

}  // namespace strait::codec
