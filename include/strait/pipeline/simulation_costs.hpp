#pragma once
// The costs of a simulation, from a profile.

#include "strait/codec/codec.hpp"
#include "strait/pipeline/config.hpp"
#include "strait/pipeline/profile.hpp"
#include "strait/pipeline/simulator.hpp"

namespace strait::pipeline {

/// Of the virtual stages of `setup`. The profile has a layer for the token table, each block and the head.
/// Without bytes of its boundary, each layer's output is sent as it is. Replicas add up what `codec` says.
template <class T>
SimulationCosts simulation_costs(const Profile& profile, const PipelineSetup& setup,
                                 const codec::Codec<T>& codec);

}  // namespace strait::pipeline
