#pragma once
// Pipelines whose stages keep weights and activations as bfloat16.

#include "support/asynchronous_pipelines.hpp"
#include "support/codec_decks.hpp"

namespace strait::test {

inline pipeline::PipelineSetup in_bfloat16(pipeline::PipelineSetup setup, bool stochastic = false) {
  setup.bfloat16 = true;
  setup.stochastic_rounding = stochastic;
  return setup;
}

/// What `none` sends by default: the numbers as they are kept.
inline codec::NoneCodec<float> kept_numbers() { return codec::NoneCodec<float>(codec::Wire::bfloat16, true); }

}  // namespace strait::test
