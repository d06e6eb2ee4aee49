#pragma once
// What a step of a deck is priced from: a profile or an estimate, and the links of a machine.

#include "strait/app/command_line.hpp"
#include "strait/app/metrics.hpp"
#include "strait/app/settings.hpp"
#include "strait/codec/codec.hpp"
#include "strait/pipeline/profile.hpp"
#include "strait/pipeline/simulator.hpp"

#include <string>
#include <vector>

namespace strait::app {

struct StepPrice {
  pipeline::Schedule schedule;
  std::int64_t steps = 1;  ///< that the schedule has
  pipeline::SimulationCosts costs;
  pipeline::LinkProfile link;  ///< emulated by the deck or as measured; without bandwidth where nothing was
  std::string source;          ///< "profile FILE", or how it was estimated
};

/// Of a step of the schedule, once the pipeline has filled. A stage of an asynchronous one may update its
/// weights several times in a step.
double seconds_per_step(const StepPrice& price, const pipeline::Simulation& simulation);

/// From the file `line.simulation.profile`. Refuses a profile of another model, micro-batch or codec. Without
/// one, from FLOPs at `line.simulation.rate`, with the codec's largest messages; codecs and updates take no
/// time then.
template <class T>
StepPrice step_price(const CommandLine& line, const Deck& deck, const Settings& settings,
                     const codec::Codec<T>& codec);

/// `ranks` alike: each pair has a link. Without bandwidth a link takes no time but latency.
pipeline::Machine uniform_machine(int ranks, double speed, const pipeline::LinkProfile& link, bool duplex);

/// That of the file `line.simulation.machine`, else ranks like those of the profile. Refuses one with fewer
/// ranks than the pipeline.
pipeline::Machine step_machine(const CommandLine& line, const StepPrice& price);

/// Speed, idle time and busiest link, as text.
std::string describe_simulation(const StepPrice& price, const pipeline::Simulation& simulation,
                                std::int64_t tokens);

/// As a traced step is recorded. The simulation has its actions.
std::vector<TraceRecord> simulated_trace(const pipeline::Schedule& schedule,
                                         const pipeline::Simulation& simulation);

}  // namespace strait::app
