// What a planner takes from a profile.
#include "strait/core/error.hpp"
#include "strait/pipeline/planner.hpp"

namespace strait::pipeline {
namespace {

/// Adds to `to` what cannot be cut from it.
void join(PlanLayer& to, const PlanLayer& from) {
  to.forward += from.forward;
  to.backward_input += from.backward_input;
  to.backward_weight += from.backward_weight;
  to.update += from.update;
  to.parameter_bytes += from.parameter_bytes;
  to.state_bytes += from.state_bytes;
  to.activation_bytes += from.activation_bytes;
}

PlanLayer plan_layer(const LayerProfile& layer, const BoundaryProfile& boundary) {
  const bool as_it_is = boundary.bytes_forward == 0;
  return {.forward = layer.forward.median,
          .backward_input = layer.backward_input.median,
          .backward_weight = layer.backward_weight.median,
          .update = layer.update.median,
          .parameter_bytes = static_cast<double>(layer.parameter_bytes),
          .state_bytes = static_cast<double>(layer.state_bytes),
          .activation_bytes = static_cast<double>(layer.activation_bytes),
          .bytes_forward = static_cast<double>(as_it_is ? layer.output_bytes : boundary.bytes_forward),
          .bytes_backward = static_cast<double>(as_it_is ? layer.output_bytes : boundary.bytes_backward)};
}

}  // namespace

std::vector<PlanLayer> plan_layers(const Profile& profile) {
  ensure(profile.layers.size() >= 3, "a profile has a token table, blocks and a head");
  std::vector<PlanLayer> layers;
  for (const LayerProfile& layer : profile.layers) layers.push_back(plan_layer(layer, profile.boundary));
  join(layers[1], layers.front());
  join(layers[layers.size() - 2], layers.back());
  return {layers.begin() + 1, layers.end() - 1};
}

PlanBoundary plan_boundary(const Profile& profile) {
  const BoundaryProfile& boundary = profile.boundary;
  return {.sender_seconds = boundary.encode.median + boundary.decode_gradient.median,
          .receiver_seconds = boundary.decode.median + boundary.encode_gradient.median,
          .update_seconds = boundary.update.median / 2,  // measured of both ends
          .sync_down_bytes = boundary.bytes_sync_down,
          .sync_up_bytes = boundary.bytes_sync_up};
}

}  // namespace strait::pipeline
