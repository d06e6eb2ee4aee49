#include "strait/pipeline/simulation_costs.hpp"

#include "strait/core/error.hpp"
#include "strait/pipeline/gradient_parts.hpp"
#include "strait/pipeline/stage_unit.hpp"

namespace strait::pipeline {
namespace {

StageCosts stage_costs(const Profile& profile, const model::StageSpan& span) {
  // The token table stands before block 0, the head behind the last block.
  const int first = span.first_layer + (span.embeds ? 0 : 1);
  const int last = span.last_layer + (span.has_head ? 2 : 1);
  StageCosts costs;
  for (int layer = first; layer < last; ++layer) {
    const LayerProfile& measured = profile.layers[layer];
    costs.forward += measured.forward.median;
    costs.backward_input += measured.backward_input.median;
    costs.backward_weight += measured.backward_weight.median;
    costs.update += measured.update.median;
  }
  return costs;
}

BoundaryCosts boundary_costs(const Profile& profile, int last_layer) {
  const BoundaryProfile& measured = profile.boundary;
  BoundaryCosts costs = {.encode = measured.encode.median,
                         .decode = measured.decode.median,
                         .encode_gradient = measured.encode_gradient.median,
                         .decode_gradient = measured.decode_gradient.median,
                         .update = 0.5 * measured.update.median,  // the profile has both ends'
                         .bytes_forward = static_cast<double>(measured.bytes_forward),
                         .bytes_backward = static_cast<double>(measured.bytes_backward),
                         .bytes_sync_up = measured.bytes_sync_up,
                         .bytes_sync_down = measured.bytes_sync_down};
  if (measured.bytes_forward == 0) {
    costs.bytes_forward = costs.bytes_backward = static_cast<double>(profile.layers[last_layer].output_bytes);
  }
  return costs;
}

/// Seconds of a backward, or of its weights' half, in the stage's layers below `layer`.
double seconds_below(const Profile& profile, const model::StageSpan& span, int layer, bool whole) {
  double seconds = 0.0;
  for (int i = span.embeds ? -1 : 0; i < layer; ++i) {
    const LayerProfile& measured = profile.layers[span.first_layer + i + 1];
    seconds += measured.backward_weight.median + (whole ? measured.backward_input.median : 0.0);
  }
  return seconds;
}

/// What the replicas of a virtual stage add up: its gradients, run of layers by run of layers, and then what
/// codec ends sum.
template <class T>
std::vector<ReplicaPart> replica_parts(const Profile& profile, const PipelineSetup& setup,
                                       const codec::Codec<T>& codec, int stage) {
  const model::StageSpan& span = setup.spans[stage];
  std::vector<std::int64_t> of_ends;
  const auto add_parameters = [&](model::ParameterLayout& layout) {
    const auto add = [&](codec::Side side, int boundary) {
      const auto shape = boundary_shape(setup, boundary, 1);
      codec.bytes_needed(side, shape, layout);
      for (const std::int64_t size : codec.sums_needed(side, shape)) of_ends.push_back(size);
    };
    if (stage > 0) add(codec::Side::receiver, stage - 1);
    if (!span.has_head) add(codec::Side::sender, stage);
  };
  const auto layout = model::stage_layout(setup.model, span, add_parameters);
  std::vector<ReplicaPart> parts;
  const auto bytes = [](std::int64_t elements) { return static_cast<double>(elements * sizeof(T)); };
  for (const GradientPart& part : gradient_parts(layout, span)) {
    ReplicaPart out{.bytes = bytes(part.end - part.begin)};
    if (part.layer >= 0) {
      out.left_of_backward = seconds_below(profile, span, part.layer, true);
      out.left_of_weights = seconds_below(profile, span, part.layer, false);
    }
    parts.push_back(out);
  }
  for (const std::int64_t size : of_ends) parts.push_back({.bytes = bytes(size)});
  return parts;
}

}  // namespace

template <class T>
SimulationCosts simulation_costs(const Profile& profile, const PipelineSetup& setup,
                                 const codec::Codec<T>& codec) {
  ensure(static_cast<int>(profile.layers.size()) == setup.spans.back().last_layer + 2,
         "a profile has the model's layers");
  SimulationCosts costs;
  for (int stage = 0; stage < setup.stages(); ++stage) {
    const model::StageSpan& span = setup.spans[stage];
    costs.stages.push_back(stage_costs(profile, span));
    if (setup.placement().replicas_of(stage) > 1) {
      costs.stages.back().sums = replica_parts(profile, setup, codec, stage);
    }
    if (!span.has_head) costs.boundaries.push_back(boundary_costs(profile, span.last_layer));
  }
  if (setup.model.tie_embeddings) {
    costs.bytes_tied = static_cast<double>(profile.layers.front().parameter_bytes);
  }
  return costs;
}

template SimulationCosts simulation_costs<float>(const Profile&, const PipelineSetup&,
                                                 const codec::Codec<float>&);
template SimulationCosts simulation_costs<double>(const Profile&, const PipelineSetup&,
                                                  const codec::Codec<double>&);

}  // namespace strait::pipeline
