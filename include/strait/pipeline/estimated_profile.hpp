#pragma once
// A profile without measurements, from floating-point operations.

#include "strait/codec/codec.hpp"
#include "strait/pipeline/config.hpp"
#include "strait/pipeline/profile.hpp"

namespace strait::pipeline {

/// Layers at `rate` FLOP/s, each half of the backward as long as the forward; a boundary with the codec's
/// largest messages that takes no time. Updates take no time either.
template <class T>
Profile estimated_profile(const PipelineSetup& setup, const codec::Codec<T>& codec, double rate);

}  // namespace strait::pipeline
