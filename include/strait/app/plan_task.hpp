#pragma once
// What the planner is asked, from a deck and files.

#include "strait/app/settings.hpp"
#include "strait/codec/codec.hpp"
#include "strait/pipeline/planner.hpp"

namespace strait::app {

/// The profile in `path`. Error(ExitCode::io) where it cannot be read, Error(ExitCode::deck) where it is of
/// another model or micro-batch, or of another codec than that of `deck`, where there is one.
pipeline::Profile read_profile(const std::string& path, const Settings& settings, const Deck* deck = nullptr);

/// The same for a run of the deck: with the synchronisation of its steps.
template <class T>
pipeline::Profile read_profile(const std::string& path, const Settings& settings, const Deck& deck,
                               const codec::Codec<T>& codec);

/// To run the deck's step on `machine` with layers that cost what `profile` says. Refuses schedules that do
/// not give a rank one run of layers.
pipeline::PlanTask plan_task(const Settings& settings, const pipeline::Profile& profile,
                             const pipeline::Machine& machine);

/// Layers per run for the deck's replicas, equal ranks and free links, the slowest stage as fast as can be.
std::vector<int> profiled_split(const Settings& settings, const pipeline::Profile& profile);

}  // namespace strait::app
