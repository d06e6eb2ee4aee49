#pragma once
// AdamW (Loshchilov & Hutter 2019) and its relatives in one pass over memory.

#include "strait/core/tensor.hpp"

#include <optional>

namespace strait::kernels {

/// What a step follows: mean * m + gradient * g.
struct AdamWDirection {
  double mean;
  double gradient;
};

struct AdamWOptions {
  double learning_rate;
  double beta1 = 0.9;
  double beta2 = 0.95;
  double epsilon = 1e-8;
  double weight_decay = 0.0;                     ///< decoupled
  double gradient_scale = 1.0;                   ///< clipping factor, applied as the gradient is read
  std::int64_t step = 1;                         ///< 1 for the first update: bias correction
  std::optional<AdamWDirection> direction = {};  ///< nothing: AdamW's, {1 / (1 - beta1^t), 0}
};

/// m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2;
/// w -= lr * weight_decay * w;  w -= lr * direction / (sqrt(v / (1 - beta2^t)) + epsilon).
template <class T>
void adamw(const ExecutionSpace& exec, const Vector<T>& weights, const Vector<T>& m, const Vector<T>& v,
           ConstVector<T> gradients, const AdamWOptions& options);

enum class Vectors { rows, columns };

/// The same for matrices [m, n] whose rows or columns must stay in a subspace that holds those of the
/// gradients: v is averaged over the entries of each vector, sum over the vector of (beta2 v + (1 - beta2)
/// g^2) / length, so that the step only stretches vectors of m (Subspace Networks, arXiv 2506.01260). Every
/// entry of v holds its vector's average.
template <class T>
void adamw_of_vectors(const ExecutionSpace& exec, const Matrix<T>& weights, const Matrix<T>& m,
                      const Matrix<T>& v, ConstMatrix<T> gradients, Vectors vectors,
                      const AdamWOptions& options);

}  // namespace strait::kernels
