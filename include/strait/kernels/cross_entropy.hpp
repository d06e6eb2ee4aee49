#pragma once
// Cross-entropy fused with the output head: logits exist for one chunk of tokens at a time.

#include "strait/core/bits16.hpp"
#include "strait/core/tensor.hpp"

namespace strait::kernels {

struct CrossEntropyOptions {
  double gradient_scale = 1.0;  ///< factor on every gradient, usually 1 / tokens of the step
  int chunk_tokens = 0;  ///< 0: 256 to 1024 on hosts, to 4096 on devices, fewer for a larger vocabulary
};

/// Sum over tokens of the cross-entropy in nats of softmax(x [tokens, hidden] head [vocab, hidden]^T) against
/// targets [tokens], accumulated in double into loss_sum [1] (assigned, not added), on the device.
template <class T>
void cross_entropy_forward(const ExecutionSpace& exec, const Vector<double>& loss_sum, ConstMatrix<T> x,
                           ConstMatrix<T> head, const TokenIds& targets, CrossEntropyOptions options = {});

/// As forward, and in the same pass over chunks dx [tokens, hidden] (assigned; may alias x) and
/// dhead [vocab, hidden] (accumulated).
template <class T>
void cross_entropy_forward_backward(const ExecutionSpace& exec, const Vector<double>& loss_sum,
                                    const Matrix<T>& dx, const Matrix<Compute<T>>& dhead, ConstMatrix<T> x,
                                    ConstMatrix<T> head, const TokenIds& targets,
                                    CrossEntropyOptions options = {});

}  // namespace strait::kernels
