#pragma once
// What a layer and the head cost, in weights and in operations per token.

#include "strait/model/config.hpp"

namespace strait::model {

/// Weights in the matrix products of one layer.
std::int64_t layer_matrix_weights(const LlamaConfig& config);

/// Floating-point operations of one layer's forward pass, causal attention included.
double layer_forward_flops(const LlamaConfig& config);

/// The same of the output head.
double head_forward_flops(const LlamaConfig& config);

}  // namespace strait::model
