#pragma once
// The costs of a simulation, from a profile.

#include "strait/model/config.hpp"
#include "strait/pipeline/profile.hpp"
#include "strait/pipeline/simulator.hpp"

#include <vector>

namespace strait::pipeline {

/// Of a model that is cut into `spans`, one per virtual stage. The profile has a layer for the token table,
/// each block and the head. Without bytes of its boundary, each layer's output is sent as it is.
SimulationCosts simulation_costs(const Profile& profile, const std::vector<model::StageSpan>& spans,
                                 bool tied_embeddings);

}  // namespace strait::pipeline
