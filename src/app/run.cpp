#include "strait/app/run.hpp"

#include "strait/app/agreement.hpp"
#include "strait/app/dry_run.hpp"
#include "strait/app/plan_command.hpp"
#include "strait/app/profile_command.hpp"
#include "strait/app/simulate_command.hpp"
#include "strait/app/step_price.hpp"
#include "strait/app/trace_file.hpp"
#include "strait/app/trainer.hpp"
#include "strait/core/communicator.hpp"

#include <optional>

namespace strait::app {

namespace {

/// As a TOML string, so that no path is taken for a number.
std::string toml_string(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

void check_ranks(const pipeline::PipelineConfig& pipeline, int ranks) {
  const int needed = pipeline.ranks();
  if (ranks == needed) return;
  const std::string stages = fmt::format("pipeline.stages = {}", pipeline.stages);
  const std::string replicas =
      pipeline.replicas.empty() ? "" : fmt::format(" with replicas {}", fmt::join(pipeline.replicas, "-"));
  fail(ExitCode::environment, "strait: {} ranks were started, but {}{} need{} {}: run it under mpiexec -n {}",
       ranks, pipeline.emulated ? "emulated stages" : stages, replicas, pipeline.emulated ? "" : "s", needed,
       needed);
}

/// What a dry run or `strait simulate` say of a simulated step. Writes its trace.
template <class T>
std::string simulated(const CommandLine& line, const Deck& deck, const Settings& settings,
                      const codec::Codec<T>& codec) {
  if (line.command == Command::simulate) return simulate_command<T>(line, deck, settings, codec);
  if (!line.dry_run || !(line.trace || line.simulation.profile || line.simulation.machine)) return "";
  const StepPrice price = step_price<T>(line, deck, settings, codec);
  const auto machine = step_machine(line, price);
  const auto simulation = pipeline::simulate(price.schedule, price.costs, machine, true);
  if (line.trace) {
    write_trace_file(
        *line.trace,
        {.run = settings.run.name, .source = "simulated", .ranks = price.schedule.placement().ranks()},
        simulated_trace(price.schedule, simulation));
  }
  return describe_simulation(price, simulation, settings.tokens_per_step());
}

template <class T>
ExitCode run_deck(const CommandLine& line, const Deck& deck, const Settings& settings,
                  MPI_Comm communicator) {
  std::unique_ptr<codec::Codec<T>> codec;
  const bool trains =
      line.command == Command::train && !line.print_deck && !line.deck_reference && !line.dry_run;
  pipeline::PipelineSetup setup;
  std::string answer;
  agree(communicator, [&] {
    codec = codec::codec_from_deck<T>(deck.table("codec"), settings.model.hidden,
                                      {.tied_embeddings = settings.model.tie_embeddings,
                                       .synchronous = pipeline::synchronous(settings.pipeline.schedule),
                                       .replicated = !settings.pipeline.replicas.empty(),
                                       .bfloat16 = settings.training.bfloat16()});
    deck.finish();
    if (line.print_deck) answer += deck.effective();
    if (line.deck_reference) answer += deck.reference();
    if (line.dry_run) answer += describe_run<T>(settings, *codec);
    if (line.command == Command::plan) answer += plan_command<T>(line, deck, settings, *codec);
    if (rank_of(communicator) == 0) answer += simulated<T>(line, deck, settings, *codec);
    if (trains) {
      setup = settings.pipeline_setup();
      check_ranks(settings.pipeline, size_of(communicator));
    }
  });
  if (line.command == Command::profile) {
    return profile_command<T>(communicator, line, deck, settings, *codec);
  }
  if (!trains) {
    if (rank_of(communicator) == 0) fmt::print("{}", answer);
    return ExitCode::done;
  }
  const ExecutionSpace exec;
  return Trainer<T>(exec, communicator, line, deck, settings, setup, *codec).run();
}

}  // namespace

ExitCode run(int argc, const char* const* argv, MPI_Comm communicator) {
  CommandLine line;
  std::optional<Deck> deck;
  Settings settings;
  agree(communicator, [&] {
    line = parse_command_line(argc, argv);
    if (line.answer) return;
    auto overrides = line.overrides;
    if (line.command == Command::train && line.output)
      overrides.push_back("output.directory=" + toml_string(*line.output));
    deck = Deck::from_file(line.deck, overrides);
    settings = Settings::from_deck(*deck);
  });
  if (line.answer) {
    if (rank_of(communicator) == 0) fmt::print("{}", *line.answer);
    return ExitCode::done;
  }
  return settings.training.precision == "float64" ? run_deck<double>(line, *deck, settings, communicator)
                                                  : run_deck<float>(line, *deck, settings, communicator);
}

}  // namespace strait::app
