#include "strait/app/simulate_command.hpp"

#include "strait/app/step_price.hpp"

#include <algorithm>
#include <numeric>

namespace strait::app {
namespace {

/// The machines to simulate, with the bandwidth of each.
std::vector<pipeline::Machine> machines(const CommandLine& line, const StepPrice& price) {
  if (line.simulation.machine) return {step_machine(line, price)};
  std::vector<double> bandwidths = line.simulation.bandwidths;
  const bool as_profiled = bandwidths.empty();
  if (as_profiled) bandwidths.push_back(price.link.bandwidth);
  const bool duplex = !line.simulation.half_duplex && (!as_profiled || price.link.duplex());
  const double latency = line.simulation.latency.value_or(price.link.latency);
  std::vector<pipeline::Machine> out;
  for (const double bandwidth : bandwidths) {
    out.push_back(uniform_machine(price.schedule.placement().ranks(), line.simulation.speed,
                                  {.bandwidth = bandwidth, .latency = latency}, duplex));
  }
  return out;
}

}  // namespace

template <class T>
std::string simulate_command(const CommandLine& line, const Deck& deck, const Settings& settings,
                             const codec::Codec<T>& codec) {
  const StepPrice price = step_price<T>(line, deck, settings, codec);
  const int ranks = price.schedule.placement().ranks();
  const auto tokens = static_cast<double>(settings.tokens_per_step());
  std::string csv =
      "schedule,stages,ranks,micro_batches,bandwidth,latency,duplex,seconds_per_step,tokens_per_second,"
      "idle_share,busiest_rank_seconds,busiest_link_seconds,bytes_per_step\n";
  for (const pipeline::Machine& machine : machines(line, price)) {
    const pipeline::Simulation out = pipeline::simulate(price.schedule, price.costs, machine);
    const double seconds = seconds_per_step(price, out);
    const auto steps = static_cast<double>(price.steps);
    double idle = 0.0, busiest_rank = 0.0, busiest_link = 0.0, bytes = 0.0;
    for (int rank = 0; rank < ranks; ++rank) {
      idle += out.idle_share(rank) / ranks;
      busiest_rank = std::max(busiest_rank, out.ranks[rank].busy() / steps);
    }
    for (const pipeline::SimulatedLink& link : out.links) {
      busiest_link = std::max(busiest_link, link.seconds / steps);
      bytes += link.bytes / steps;
    }
    const pipeline::MachineLevel& level = machine.levels.front();
    csv += fmt::format("{},{},{},{},{:g},{:g},{},{:.9g},{:.9g},{:.6f},{:.9g},{:.9g},{:.0f}\n",
                       price.schedule.name, price.schedule.stages, ranks, settings.training.micro_batches(),
                       level.bandwidth, level.latency, level.duplex ? "full" : "half", seconds,
                       tokens / seconds, idle, busiest_rank, busiest_link, bytes);
  }
  return csv;
}

template std::string simulate_command<float>(const CommandLine&, const Deck&, const Settings&,
                                             const codec::Codec<float>&);
template std::string simulate_command<double>(const CommandLine&, const Deck&, const Settings&,
                                              const codec::Codec<double>&);

}  // namespace strait::app
