#pragma once
// strait DECK.toml [--set table.key=value]... [--restart latest|PATH] [--output DIR] [--dry-run]
// [--print-deck] ...
// strait profile DECK.toml [--set table.key=value]... [--output FILE.h5]
// strait simulate DECK.toml [--set table.key=value]... [--profile FILE.h5] [--bandwidth BIT/S]... ...

#include <optional>
#include <string>
#include <vector>

namespace strait::app {

/// What to do with the deck: a subcommand's name, or training without one.
enum class Command { train, profile, simulate };

struct CommandLine {
  Command command = Command::train;
  std::string deck;
  std::vector<std::string> overrides;  ///< table.key=value
  std::optional<std::string> restart;  ///< "latest" or a checkpoint's folder
  std::optional<std::string> output;   ///< of training, instead of output.directory; else the file to write
  bool dry_run = false;
  std::optional<std::string> trace;    ///< file for the measured or simulated actions of a step
  std::optional<std::string> profile;  ///< that a simulation is priced from
  std::optional<std::string> machine;  ///< whose links a simulation has
  std::vector<double> bandwidths;      ///< bit/s, of the links to simulate
  std::optional<double> latency;       ///< seconds, of these
  bool half_duplex = false;            ///< of these
  double speed = 1.0;                  ///< of simulated ranks, relative to the profiled one
  bool print_deck = false;
  bool deck_reference = false;
  std::string text;  ///< the command as typed

  /// What `--help` or `--version` asked for: print it and stop.
  std::optional<std::string> answer;
};

/// Throws Error(ExitCode::deck) with one line when the arguments are off.
CommandLine parse_command_line(int argc, const char* const* argv);

}  // namespace strait::app
