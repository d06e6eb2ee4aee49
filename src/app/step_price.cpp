#include "strait/app/step_price.hpp"

#include "strait/app/plan_task.hpp"
#include "strait/app/units_text.hpp"
#include "strait/pipeline/estimated_profile.hpp"
#include "strait/pipeline/simulation_costs.hpp"
#include "strait/pipeline/training_plan.hpp"

#include <algorithm>
#include <limits>

namespace strait::app {
namespace {

/// Steps to simulate: one, of an asynchronous pipeline as many as show how it runs once it is full.
std::int64_t priced_steps(const pipeline::PipelineSetup& setup) {
  if (pipeline::synchronous(setup.schedule)) return 1;
  return std::clamp<std::int64_t>(setup.steps, 1, 4 * setup.ranks() + 8);
}

pipeline::Schedule priced_schedule(const pipeline::PipelineSetup& setup, std::int64_t steps) {
  if (pipeline::synchronous(setup.schedule)) {
    return pipeline::schedule(setup.schedule, setup.placement().stages, setup.micro_batches,
                              pipeline::schedule_options(setup));
  }
  const auto run = pipeline::asynchronous_run(setup.schedule, setup.weight_versions, setup.stages(),
                                              setup.micro_batches, steps, setup.replicas);
  return pipeline::asynchronous_schedule(run, 0, steps);
}

}  // namespace

template <class T>
StepPrice step_price(const CommandLine& line, const Deck& deck, const Settings& settings,
                     const codec::Codec<T>& codec) {
  const auto setup = settings.pipeline_setup();
  StepPrice price;
  price.steps = priced_steps(setup);
  price.schedule = priced_schedule(setup, price.steps);
  pipeline::Profile profile;
  if (line.simulation.profile) {
    profile = read_profile<T>(*line.simulation.profile, settings, deck, codec);
    price.source = "profile " + *line.simulation.profile;
  } else {
    profile = pipeline::estimated_profile<T>(setup, codec, line.simulation.rate);
    price.source = fmt::format("FLOPs at {}FLOP/s", with_prefix(line.simulation.rate));
  }
  price.costs = pipeline::simulation_costs<T>(profile, setup, codec);
  price.link = settings.link(profile);
  return price;
}

double seconds_per_step(const StepPrice& price, const pipeline::Simulation& simulation) {
  return simulation.seconds_per_update() * simulation.updates() / static_cast<double>(price.steps);
}

pipeline::Machine uniform_machine(int ranks, double speed, const pipeline::LinkProfile& link, bool duplex) {
  pipeline::Machine machine;
  machine.levels = {
      {.components = ranks,
       .bandwidth = link.bandwidth > 0.0 ? link.bandwidth : std::numeric_limits<double>::infinity(),
       .latency = link.latency,
       .duplex = duplex}};
  machine.speed.assign(ranks, speed);
  return machine;
}

pipeline::Machine step_machine(const CommandLine& line, const StepPrice& price) {
  const int ranks = price.schedule.placement().ranks();
  if (!line.simulation.machine) return uniform_machine(ranks, 1.0, price.link, price.link.duplex());
  pipeline::Machine machine = pipeline::Machine::from_file(*line.simulation.machine);
  if (machine.ranks() < ranks) {
    fail(ExitCode::deck, "{}: has {} ranks, the pipeline needs {}", *line.simulation.machine, machine.ranks(),
         ranks);
  }
  return machine;
}

std::string describe_simulation(const StepPrice& price, const pipeline::Simulation& simulation,
                                std::int64_t tokens) {
  const double seconds = seconds_per_step(price, simulation);
  double least = 1.0, most = 0.0;
  for (int rank = 0; rank < price.schedule.placement().ranks(); ++rank) {
    least = std::min(least, simulation.idle_share(rank));
    most = std::max(most, simulation.idle_share(rank));
  }
  return fmt::format("{:<12} {:.4g} s per step, {}tokens/s, ranks idle {:.1f} to {:.1f} %, by {}\n",
                     "simulated", seconds, with_prefix(static_cast<double>(tokens) / seconds), 100.0 * least,
                     100.0 * most, price.source);
}

std::vector<TraceRecord> simulated_trace(const pipeline::Schedule& schedule,
                                         const pipeline::Simulation& simulation) {
  std::vector<TraceRecord> records;
  for (int rank = 0; rank < schedule.placement().ranks(); ++rank) {
    const auto& actions = simulation.ranks[rank].actions;
    for (std::size_t i = 0; i < actions.size(); ++i) {
      const pipeline::Action& action = schedule.ranks[rank][i];
      records.push_back({.stage = schedule.virtual_stage(rank, action.chunk),
                         .action = std::string(pipeline::name(action.kind)),
                         .micro_batch = action.micro_batch,
                         .start = actions[i].start,
                         .end = actions[i].end,
                         .waited = actions[i].waited,
                         .rank = rank});
    }
  }
  return records;
}

template StepPrice step_price<float>(const CommandLine&, const Deck&, const Settings&,
                                     const codec::Codec<float>&);
template StepPrice step_price<double>(const CommandLine&, const Deck&, const Settings&,
                                      const codec::Codec<double>&);

}  // namespace strait::app
