#include "strait/app/command_line.hpp"

#include "strait/core/error.hpp"
#include "strait/core/version.hpp"
#include "strait/pipeline/machine.hpp"

#include <CLI/CLI.hpp>
#include <fmt/ranges.h>

namespace strait::app {

namespace {

void add_deck(CLI::App& app, CommandLine& line) {
  app.add_option("deck", line.deck, "input deck (TOML)")->type_name("DECK.toml");
  app.add_option("--set", line.overrides, "table.key=value: overrides a key of the deck")
      ->type_name("KEY=VALUE")
      ->take_all()
      ->allow_extra_args(false);
}

/// What a simulation or a plan is priced from.
void add_price(CLI::App& app, SimulationOptions& simulation) {
  CLI::Option* profile = app.add_option("--profile", simulation.profile,
                                        "costs that `strait profile` measured; otherwise estimated")
                             ->type_name("FILE.h5");
  app.add_option("--rate", simulation.rate, "FLOP/s of a rank, where there is no profile")
      ->type_name("R")
      ->capture_default_str()
      ->check(CLI::PositiveNumber)
      ->excludes(profile);
  app.add_option("--machine", simulation.machine, "ranks and links, as in inputs/machines")
      ->type_name("FILE.toml");
}

/// A subcommand on one deck, which takes none of the options of training.
CLI::App& add_command(CLI::App& cli, CommandLine& line, Command command, const char* name, const char* help) {
  CLI::App& app = *cli.add_subcommand(name, help);
  for (CLI::Option* option : cli.get_options()) {
    if (option != cli.get_help_ptr()) app.excludes(option);
  }
  add_deck(app, line);
  app.callback([&line, command] { line.command = command; });
  return app;
}

void add_plan(CLI::App& cli, CommandLine& line) {
  CLI::App& app = add_command(cli, line, Command::plan, "plan",
                              "choose cuts and replicas of the stages; print them with a prediction");
  PlanOptions& plan = line.plan;
  add_price(app, line.simulation);
  app.add_option("--ranks", plan.ranks, "equal ranks, where there is no machine; otherwise the deck's stages")
      ->type_name("N")
      ->check(CLI::Range(1, pipeline::most_ranks))
      ->excludes(app.get_option("--machine"));
  app.add_option("--replicas", plan.replicas, "ranks of each stage, as 3,2,1: plans the cuts alone")
      ->type_name("N,...")
      ->delimiter(',')
      ->check(CLI::Range(1, pipeline::most_ranks));
  app.add_option("--goal", plan.goal, "least time of a step, or of the busiest rank or link as in the paper")
      ->type_name("step|bottleneck")
      ->capture_default_str()
      ->check(CLI::IsMember({"step", "bottleneck"}));
  app.add_option("--sync", plan.sync, "how all-reduces and links are priced: as a ring's or as in the paper")
      ->type_name("ring|paper")
      ->capture_default_str()
      ->check(CLI::IsMember({"ring", "paper"}));
}

void add_simulate(CLI::App& cli, CommandLine& line) {
  CLI::App& app = add_command(cli, line, Command::simulate, "simulate",
                              "print what a step would take on other links and ranks, as CSV");
  SimulationOptions& simulation = line.simulation;
  add_price(app, simulation);
  CLI::Option* machine = app.get_option("--machine");
  app.add_option("--bandwidth", simulation.bandwidths, "of every link; a line of output for each value")
      ->type_name("BIT/S")
      ->check(CLI::PositiveNumber)
      ->excludes(machine);
  app.add_option("--latency", simulation.latency,
                 "of an empty message, one way; otherwise that of the profile")
      ->type_name("SECONDS")
      ->check(CLI::NonNegativeNumber)
      ->excludes(machine);
  app.add_flag("--half-duplex", simulation.half_duplex, "both directions of a link share its bandwidth")
      ->excludes(machine);
  app.add_option("--speed", simulation.speed, "of every rank, relative to the profiled one")
      ->type_name("FACTOR")
      ->check(CLI::PositiveNumber)
      ->excludes(machine);
}

}  // namespace

CommandLine parse_command_line(int argc, const char* const* argv) {
  CommandLine line;
  line.text = fmt::format("{}", fmt::join(argv, argv + argc, " "));

  CLI::App cli("Pre-trains LLaMA-style transformers with pipeline parallelism across narrow links.",
               "strait");
  cli.set_version_flag("--version", version_summary());
  add_deck(cli, line);
  cli.add_option("--restart", line.restart, "go on from the newest good checkpoint, or from one folder")
      ->type_name("latest|PATH");
  cli.add_option("--output", line.output, "output folder, instead of output.directory")->type_name("DIR");
  cli.add_flag("--dry-run", line.dry_run,
               "print partition, parameters, FLOPs, memory and bytes per link; train nothing");
  cli.add_option("--trace", line.trace,
                 "write the actions of the last traced step, or with --dry-run those of a simulated one, for "
                 "Perfetto or chrome://tracing")
      ->type_name("FILE.json");
  add_price(cli, line.simulation);
  for (const char* option : {"--profile", "--rate", "--machine"}) cli.get_option(option)->needs("--dry-run");
  cli.add_flag("--print-deck", line.print_deck, "print the effective deck and stop");
  cli.add_flag("--deck-reference", line.deck_reference, "print every key that this deck's components read");
  CLI::App& profile =
      add_command(cli, line, Command::profile, "profile",
                  "measure what the layers, a boundary and the link cost, for the planner and the simulator");
  profile.add_option("--output", line.output, "file to write, instead of profile.h5 in output.directory")
      ->type_name("FILE.h5");
  profile
      .add_option("--seconds", line.seconds, "how long to measure each part, but for a few repetitions [4]")
      ->type_name("SECONDS")
      ->check(CLI::PositiveNumber);
  add_plan(cli, line);
  add_simulate(cli, line);
  try {
    cli.parse(argc, argv);
  } catch (const CLI::Success& success) {
    std::ostringstream out;
    std::ostringstream unused;
    cli.exit(success, out, unused);
    line.answer = out.str();
    return line;
  } catch (const CLI::ParseError& error) {
    fail(ExitCode::deck, "strait: {}; see strait --help", error.what());
  }
  if (line.deck.empty()) fail(ExitCode::deck, "strait: an input deck is needed; see strait --help");
  return line;
}

}  // namespace strait::app
