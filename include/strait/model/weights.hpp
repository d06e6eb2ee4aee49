#pragma once
// The weights that a stage's layers read, where they may be in another precision than those that are trained.

#include "strait/core/bits16.hpp"
#include "strait/core/tensor.hpp"

#include <cstdint>

namespace strait::model {

/// One version of a stage's weights. Layers read `full`, or where there are any the rounded ones; anchors,
/// which belong to a codec, are always read from `full`.
template <class T>
struct Weights {
  Vector<T> full;            ///< elements [first, n) of a flat vector of the stage's layout
  std::int64_t first = 0;    ///< 0, or the first anchor
  Vector<bfloat16> rounded;  ///< the model's own parameters, ParameterLayout::model_size()

  Weights() = default;
  /// Of layers that read T: a flat vector is all.
  Weights(const Vector<T>& flat) : full(flat) {}
};

}  // namespace strait::model
