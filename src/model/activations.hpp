#pragma once
// Every activation tensor of a stage, cut out of one allocation.

#include "strait/model/stage.hpp"

#include "attention_layer.hpp"
#include "carver.hpp"
#include "feed_forward_layer.hpp"

#include <vector>

namespace strait::model {

/// What one micro-batch keeps of one block, and where its gradients go. With a fused backward all blocks and
/// slots share the gradients' memory, with recomputation the states' too: only the views differ.
template <class T>
struct BlockActivations {
  AttentionState<T> attention;
  FeedForwardState<T> feed_forward;
  Matrix<T> d_middle;  ///< [tokens, hidden], gradient at feed_forward.x
};

template <class T>
struct SlotActivations {
  std::vector<Matrix<T>> x;   ///< [layers + 1] of [tokens, hidden]: the residual stream before each layer and
                              ///< after the last
  std::vector<Matrix<T>> dx;  ///< the same of its gradient
  std::vector<BlockActivations<T>> blocks;  ///< [layers]
  Matrix<Compute<T>> passing;  ///< [tokens, hidden], where T is narrow: what came in, then what goes out
  Vector<T> all;               ///< the memory of the slot's own tensors
};

template <class T>
struct Activations {
  std::vector<SlotActivations<T>> slots;
  Matrix<T> normalised;       ///< [tokens, hidden], work space of every layer
  Matrix<T> dhidden;          ///< [tokens, ffn_hidden], work space of the feed-forward layers
  Matrix<T> output_gradient;  ///< [tokens, hidden]
  Matrix<T> input_gradient;   ///< [tokens, hidden]
  Matrix<Compute<T>> passing_output_gradient;  ///< [tokens, hidden], where T is narrow
  Matrix<Compute<T>> passing_input_gradient;   ///< the same
  Matrix<Compute<T>> rope_table;               ///< [context, head_dim]
  Vector<Compute<T>> head_rstd;                ///< [tokens], where the head is

  Activations(Carver<T> memory_or_count, const LlamaConfig& config, const StageSpan& span,
              const StageOptions& options);

  std::int64_t elements = 0;  ///< of the allocation
};

extern template struct Activations<float>;
extern template struct Activations<double>;
extern template struct Activations<bfloat16>;

}  // namespace strait::model
