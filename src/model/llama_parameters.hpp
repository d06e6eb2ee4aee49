#pragma once
// The parameters of a run of LLaMA layers, by Hugging Face's names, and their views inside a flat vector.

#include "strait/model/config.hpp"
#include "strait/model/parameters.hpp"

#include <functional>
#include <vector>

namespace strait::model {

/// Norm gain and products of the attention half of a block, in a weight or a gradient vector.
template <class T>
struct AttentionParameters {
  Vector<T> gain;    ///< [hidden]
  Matrix<T> qkv;     ///< [(heads + 2 kv_heads) * head_dim, hidden] = [query; key; value]
  Matrix<T> output;  ///< [hidden, hidden]
};

/// The same of the feed-forward half.
template <class T>
struct FeedForwardParameters {
  Vector<T> gain;     ///< [hidden]
  Matrix<T> gate_up;  ///< [2 ffn_hidden, hidden] = [gate; up]
  Matrix<T> down;     ///< [hidden, ffn_hidden]
};

/// Final norm and output projection.
template <class T>
struct HeadParameters {
  Vector<T> gain;        ///< [hidden]
  Matrix<T> projection;  ///< [vocab, hidden]
};

/// Lays out the parameters of a span and finds them again.
class LlamaParameters {
 public:
  /// `add_parameters` (may be empty) appends parameters that the model does not use itself.
  LlamaParameters(const LlamaConfig& config, const StageSpan& span,
                  const std::function<void(ParameterLayout&)>& add_parameters);

  const ParameterLayout& layout() const { return layout_; }

  /// `layer` counts from the first of the span.
  template <class T>
  AttentionParameters<T> attention(const Vector<T>& flat, int layer) const {
    const int at = first_of_layer_[layer];
    return {gain(flat, at), layout_.fused(flat, at + 1, at + 3), layout_.view(flat, at + 4)};
  }
  template <class T>
  FeedForwardParameters<T> feed_forward(const Vector<T>& flat, int layer) const {
    const int at = first_of_layer_[layer] + 5;
    return {gain(flat, at), layout_.fused(flat, at + 1, at + 2), layout_.view(flat, at + 3)};
  }
  template <class T>
  Matrix<T> token_table(const Vector<T>& flat) const {
    return layout_.view(flat, token_table_);
  }
  template <class T>
  HeadParameters<T> head(const Vector<T>& flat) const {
    return {gain(flat, final_norm_), layout_.view(flat, projection_)};
  }

 private:
  template <class T>
  Vector<T> gain(const Vector<T>& flat, int index) const {
    const auto& info = layout_.entries()[index];
    return Vector<T>(flat.data() + info.offset, info.columns);
  }

  ParameterLayout layout_;
  std::vector<int> first_of_layer_;  ///< index of each layer's first norm
  int token_table_ = -1;
  int final_norm_ = -1;
  int projection_ = -1;  ///< the token table where tied
};

}  // namespace strait::model
