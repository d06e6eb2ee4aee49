#pragma once
// Matrices with a basis each, in which their gradients are scaled: what basis rotation and SOAP have in
// common.

#include "strait/kernels/decomposition.hpp"
#include "strait/model/parameter_io.hpp"

#include <cstdint>
#include <vector>

namespace strait::optim {

/// Where the bases come from, and on which sides of a matrix they are.
struct RotationKind {
  bool from_mean = false;  ///< from the gradients' running mean; otherwise from those of G G^T and G^T G
  bool two_sided = true;   ///< otherwise on the shorter side, on the right of squares
};

/// State of named matrices W [m, n]: the gradients' running mean M; their mean square S in the rotated basis;
/// orthonormal U [m, m] and V [n, n], kept as `left` = U^T and `right` = V^T with vectors in rows; L and R,
/// the running means of G G^T and G^T G, where the bases come from them. A side that is not rotated has none.
/// The matrices are worked on one after the other: on a core a batch of products has nothing to gain.
template <class T>
class RotatedMatrices {
 public:
  /// Fails with ExitCode::deck where there is no matrix.
  RotatedMatrices(const model::ParameterLayout& matrices, RotationKind kind);

  int count() const { return static_cast<int>(layout_.entries().size()); }
  bool has_basis(int index) const { return has_basis_[index]; }
  Matrix<T> mean(int index) const { return layout_.view(mean_, index); }

  // The parts of an update, for an optimiser to put in its order. `scale` multiplies the gradient.

  /// L = decay L + (1 - decay) G G^T, and R likewise. Nothing where the bases come from the mean.
  void gather(const ExecutionSpace& exec, int index, ConstMatrix<T> gradient, double scale,
              double decay) const;

  /// The first basis: the eigenvectors of L and R, those of large eigenvalues first. From the mean: M's
  /// singular vectors, on the shorter side as eigenvectors, on the longer as the Q of their images.
  void start_basis(const ExecutionSpace& exec, int index);

  /// One power iteration: vectors in the order of what they carry, the largest first, and S with them; then
  /// U = qf(L U), V = qf(R V). From the mean: U = qf(M V), V = qf(M^T U) of the old V and U, or U =
  /// qf(M M^T U) where there is no V, and so with V.
  void refresh_basis(const ExecutionSpace& exec, int index) const;

  /// S = beta2 S + (1 - beta2) (U^T G V)^2;  D = U^T M V / (sqrt(S) + epsilon), kept until the next call.
  void scale_mean(const ExecutionSpace& exec, int index, ConstMatrix<T> gradient, double scale, double beta2,
                  double epsilon) const;

  /// weight = kept weight + rate U D V^T.
  void step_along(const ExecutionSpace& exec, int index, const Matrix<T>& weight, double rate,
                  double kept) const;

  /// Scratch included.
  static std::int64_t bytes_needed(const model::ParameterLayout& matrices, RotationKind kind);

  /// mean/<name>, square/<name>, left/<name>, right/<name> (where there is a basis), left_gram/<name> (L) and
  /// right_gram/<name> (R).
  void save(const ExecutionSpace& exec, io::Group group) const;
  void load(const ExecutionSpace& exec, const io::Group& group, const model::StoredName& stored_name);

 private:
  /// The squares on one side of those matrices that are rotated there.
  struct Side {
    model::ParameterLayout layout;
    std::vector<int> index;  ///< in the layout, of every matrix; -1 where it is not rotated
    Vector<T> basis;
    Vector<T> gram;  ///< L or R; empty from the mean
  };
  /// Room for any of the matrices.
  struct Extents {
    std::int64_t side = 0;
    std::int64_t size = 0;     ///< of a matrix
    std::int64_t scratch = 0;  ///< three matrices, or the images of a basis
  };

  static Side make_side(const model::ParameterLayout& matrices, RotationKind kind, bool left);
  static Extents extents_of(const model::ParameterLayout& matrices);
  /// The square of matrix `index` in a vector of `side`; empty where it is not rotated.
  static Matrix<T> square_of(const Side& side, const Vector<T>& flat, int index);

  /// Scratch from that of matrix `which` on.
  Matrix<T> scratch(int which, std::int64_t row_count, std::int64_t column_count) const;
  /// y = scale U^T x V, y being scratch 0 or 1.
  void rotate(const ExecutionSpace& exec, int index, const Matrix<T>& y, ConstMatrix<T> x,
              double scale) const;

  void start_from_mean(const ExecutionSpace& exec, const Matrix<T>& m, const Matrix<T>& left,
                       const Matrix<T>& right) const;
  /// basis = qf(gram basis) in a new order, which it returns.
  Vector<int> follow_gram(const ExecutionSpace& exec, const Matrix<T>& basis, const Matrix<T>& gram,
                          int side) const;
  /// Places of the rows of a, and b, by their inner products.
  Vector<int> order(const ExecutionSpace& exec, ConstMatrix<T> a, ConstMatrix<T> b, int side) const;
  /// basis = qf of its vectors' images, put in order.
  void become(const ExecutionSpace& exec, const Matrix<T>& basis, const Matrix<T>& images,
              const Vector<int>& position) const;

  RotationKind kind_;
  model::ParameterLayout layout_;
  Extents extents_;
  Vector<T> mean_, square_;
  Side left_, right_;
  std::vector<bool> has_basis_;
  Vector<T> scratch_;
  Vector<T> carried_;     ///< by each vector of a basis
  Vector<int> position_;  ///< of each vector, left and right
  kernels::Decomposer<T> decomposer_;
};

}  // namespace strait::optim
