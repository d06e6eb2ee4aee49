#pragma once
// How well a projector fits what it projects.

#include "strait/core/tensor.hpp"

namespace strait::codec {

struct ProjectionQuality {
  double orthonormality = 0.0;        ///< |A^T A - I|_2
  double energy_kept = 0.0;           ///< 1 - |Y - Y A A^T|^2 / |Y|^2
  double reconstruction_error = 0.0;  ///< |Y - Y A A^T| / |X|
  double anchor_share = 0.0;          ///< 1 - |Y|^2 / |X|^2
};

/// Of a projector a [hidden, rank], activations x [tokens, hidden] and y, x less the sender's anchors, which
/// is overwritten. Waits.
template <class T>
ProjectionQuality projection_quality(const ExecutionSpace& exec, ConstMatrix<T> a, ConstMatrix<T> x,
                                     const Matrix<T>& y);

}  // namespace strait::codec
