#pragma once
// strait DECK.toml [--set table.key=value]... [--restart latest|PATH] [--output DIR] [--dry-run]
// [--print-deck] ...
// strait profile DECK.toml [--set table.key=value]... [--output FILE.h5] [--seconds N]
// strait plan DECK.toml [--set table.key=value]... [--profile FILE.h5] [--machine FILE.toml] [--ranks N] ...
// strait simulate DECK.toml [--set table.key=value]... [--profile FILE.h5] [--bandwidth BIT/S]... ...

#include <optional>
#include <string>
#include <vector>

namespace strait::app {

/// What to do with the deck: a subcommand's name, or training without one.
enum class Command { train, profile, plan, simulate };

/// Of `strait simulate`, of dry runs and, in its first three, of `strait plan`.
struct SimulationOptions {
  std::optional<std::string> profile;  ///< file; otherwise estimated
  double rate = 1e14;                  ///< FLOP/s of a rank, without a profile
  std::optional<std::string> machine;  ///< file; otherwise equal ranks on equal links
  std::vector<double> bandwidths;      ///< bit/s of these links; otherwise as measured
  std::optional<double> latency;       ///< seconds
  bool half_duplex = false;
  double speed = 1.0;  ///< of these ranks, relative to the profiled one
};

/// Of `strait plan`, beside what it is priced from.
struct PlanOptions {
  int ranks = 0;              ///< equal ones, without a machine; 0: as many as the deck has stages
  std::vector<int> replicas;  ///< per stage; empty: planned
  std::string goal = "step";  ///< or "bottleneck"
  std::string sync = "ring";  ///< or "paper"
};

struct CommandLine {
  Command command = Command::train;
  std::string deck;
  std::vector<std::string> overrides;  ///< table.key=value
  std::optional<std::string> restart;  ///< "latest" or a checkpoint's folder
  std::optional<std::string> output;   ///< of training, instead of output.directory; else the file to write
  double seconds = 4.0;                ///< to measure each part of a profile
  bool dry_run = false;
  std::optional<std::string> trace;  ///< file for the measured or simulated actions of a step
  SimulationOptions simulation;
  PlanOptions plan;
  bool print_deck = false;
  bool deck_reference = false;
  std::string text;  ///< the command as typed

  /// What `--help` or `--version` asked for: print it and stop.
  std::optional<std::string> answer;
};

/// Throws Error(ExitCode::deck) with one line when the arguments are off.
CommandLine parse_command_line(int argc, const char* const* argv);

}  // namespace strait::app
