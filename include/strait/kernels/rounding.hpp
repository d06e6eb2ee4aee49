#pragma once
// Weights in the precision in which layers read them.

#include "strait/core/bits16.hpp"
#include "strait/core/tensor.hpp"

namespace strait::kernels {

/// rounded [n] = values [n], to nearest even.
void round_to_nearest(const ExecutionSpace& exec, const Vector<bfloat16>& rounded, ConstVector<float> values);

/// rounded [n] = values [n], up or down with the probabilities that make values the mean: steps far below
/// half a unit in the last place are then not lost, as they are where each is rounded to nearest (Gupta et
/// al., arXiv 1502.02551). A function of (seed, stream) and the index.
void round_stochastically(const ExecutionSpace& exec, const Vector<bfloat16>& rounded,
                          ConstVector<float> values, std::uint64_t seed, std::uint64_t stream);

}  // namespace strait::kernels
