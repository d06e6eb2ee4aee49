#include "strait/pipeline/estimated_profile.hpp"

#include "strait/model/costs.hpp"
#include "strait/pipeline/profiler.hpp"
#include "strait/pipeline/stage_unit.hpp"

namespace strait::pipeline {
namespace {

Timing exactly(double seconds) { return {seconds, seconds, seconds}; }

}  // namespace

template <class T>
Profile estimated_profile(const PipelineSetup& setup, const codec::Codec<T>& codec, double rate) {
  Profile profile;
  size_layers<T>(setup, profile);
  const double tokens = static_cast<double>(profile.tokens);
  const auto take = [&](LayerProfile& layer, double flops, bool again) {
    const double seconds = tokens * flops / rate;
    layer.forward = exactly(seconds);
    layer.backward_weight = exactly(seconds);
    layer.backward_input = exactly(again ? 2.0 * seconds : seconds);
  };
  for (LayerProfile& layer : profile.layers) {
    take(layer, model::layer_forward_flops(setup.model), setup.recompute);
  }
  take(profile.layers.front(), setup.model.hidden, false);  // read, not multiplied
  take(profile.layers.back(), model::head_forward_flops(setup.model), false);

  const codec::BoundaryShape shape{.tokens = profile.tokens,
                                   .hidden = setup.model.hidden,
                                   .vocab = setup.model.vocab,
                                   .micro_batches = setup.micro_batches,
                                   .seed = setup.seed};
  const codec::MessageBounds bounds = codec.bounds(shape);
  profile.boundary.bytes_forward = bounds.forward;
  profile.boundary.bytes_backward = bounds.backward;
  const auto interval = static_cast<double>(codec.sync_interval(shape));
  profile.boundary.bytes_sync_up = static_cast<double>(bounds.sync_up) / interval;
  profile.boundary.bytes_sync_down = static_cast<double>(bounds.sync_down) / interval;
  return profile;
}

template Profile estimated_profile<float>(const PipelineSetup&, const codec::Codec<float>&, double);
template Profile estimated_profile<double>(const PipelineSetup&, const codec::Codec<double>&, double);

}  // namespace strait::pipeline
