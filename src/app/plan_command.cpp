#include "strait/app/plan_command.hpp"

#include "strait/app/plan_task.hpp"
#include "strait/app/profile_command.hpp"
#include "strait/app/units_text.hpp"
#include "strait/pipeline/estimated_profile.hpp"

#include <numeric>

namespace strait::app {

namespace {

// Where neither a file nor a profile says otherwise: ordinary Ethernet.
constexpr double default_bandwidth = 1e10;  // bit/s
constexpr double default_latency = 5e-5;    // seconds

pipeline::Machine equal_ranks(int ranks, const pipeline::LinkProfile& link) {
  pipeline::Machine machine;
  machine.levels = {{.components = ranks, .bandwidth = default_bandwidth, .latency = default_latency}};
  machine.levels.front().name = "link";
  if (link.bandwidth > 0.0) {
    machine.levels.front().bandwidth = link.bandwidth;
    machine.levels.front().latency = link.latency;
    machine.levels.front().duplex = link.duplex();
  }
  return machine;
}

std::string machine_text(const pipeline::Machine& machine) {
  std::string text = fmt::format("{} rank{}", machine.ranks(), machine.ranks() == 1 ? "" : "s");
  if (machine.memory_bytes > 0) {
    text += fmt::format(" of {}", bytes_text(static_cast<double>(machine.memory_bytes)));
  }
  for (const auto& level : machine.levels) {
    text += fmt::format(", {} on {} at {}bit/s{}", level.components, level.name, with_prefix(level.bandwidth),
                        level.duplex ? "" : " both ways together");
  }
  return text + (machine.speed.empty() ? "" : ", of different speeds");
}

std::string comparison(const pipeline::PlanTask& task, const std::string& name,
                       const std::vector<int>& replicas) {
  try {
    const auto plan = pipeline::cut_layers(task, replicas);
    return fmt::format("{} {:.4g} s", name, plan.seconds_per_step);
  } catch (const Error&) {
    return fmt::format("{} does not fit", name);
  }
}

/// The steps of what the paper compares with.
std::string comparisons(const pipeline::PlanTask& task) {
  const int ranks = task.machine.ranks();
  const int layers = static_cast<int>(task.layers.size());
  std::string text = comparison(task, "data parallelism", {ranks});
  if (ranks <= layers)
    text += fmt::format("; {}", comparison(task, "one rank per stage", std::vector<int>(ranks, 1)));
  return text;
}

}  // namespace

template <class T>
std::string plan_command(const CommandLine& line, const Deck& deck, const Settings& settings,
                         const codec::Codec<T>& codec) {
  const auto& from = line.simulation;
  const PlanOptions& options = line.plan;
  std::string text;
  const auto say = [&](const std::string& name, const std::string& value) {
    text += fmt::format("{:<12} {}\n", name, value);
  };
  const std::string path = from.profile.value_or(settings.profile);
  pipeline::Profile profile;
  if (path.empty()) {
    profile = pipeline::estimated_profile<T>(settings.pipeline_setup(), codec, from.rate);
  } else {
    profile = read_profile<T>(path, settings, deck, codec);
  }
  const auto machine =
      from.machine ? pipeline::Machine::from_file(*from.machine)
                   : equal_ranks(options.ranks > 0 ? options.ranks : settings.pipeline.placement().ranks(),
                                 settings.link(profile));
  pipeline::PlanTask task = plan_task(settings, profile, machine);
  if (options.sync == "paper") task.sync = pipeline::SyncRule::paper;

  say("model", profiled_model(settings));
  say("costs", path.empty() ? fmt::format("estimated from operations at {}FLOP/s; codecs take no time",
                                          with_prefix(from.rate))
                            : fmt::format("{}, {}", path, profile.hardware));
  say("machine", machine_text(machine));
  say("schedule", fmt::format("{}, {} micro-batches of {} sequences per step", task.schedule,
                              task.micro_batches, settings.training.micro_batch));

  const auto& replicas = options.replicas;
  if (!replicas.empty() && std::accumulate(replicas.begin(), replicas.end(), 0) != machine.ranks()) {
    fail(ExitCode::deck, "strait plan: --replicas adds up to {}, expected the machine's {} ranks",
         std::accumulate(replicas.begin(), replicas.end(), 0), machine.ranks());
  }
  const auto plan = !replicas.empty()        ? pipeline::cut_layers(task, replicas)
                    : options.goal == "step" ? pipeline::make_plan_for_step(task)
                                             : pipeline::make_plan(task);
  text += fmt::format("\n{}", plan_text(task, plan, static_cast<double>(settings.tokens_per_step())));
  say("instead", comparisons(task));
  return text;
}

template std::string plan_command<float>(const CommandLine&, const Deck&, const Settings&,
                                         const codec::Codec<float>&);
template std::string plan_command<double>(const CommandLine&, const Deck&, const Settings&,
                                          const codec::Codec<double>&);

}  // namespace strait::app
