#include "strait/pipeline/simulation_costs.hpp"

#include "strait/core/error.hpp"

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

}  // namespace

SimulationCosts simulation_costs(const Profile& profile, const std::vector<model::StageSpan>& spans,
                                 bool tied_embeddings) {
  ensure(static_cast<int>(profile.layers.size()) == spans.back().last_layer + 2,
         "a profile has the model's layers");
  SimulationCosts costs;
  for (const model::StageSpan& span : spans) {
    costs.stages.push_back(stage_costs(profile, span));
    if (!span.has_head) costs.boundaries.push_back(boundary_costs(profile, span.last_layer));
  }
  if (tied_embeddings) costs.bytes_tied = static_cast<double>(profile.layers.front().parameter_bytes);
  return costs;
}

}  // namespace strait::pipeline
