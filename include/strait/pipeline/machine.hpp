#pragma once
// The machine that a plan is made for: ranks in a hierarchy of links. Read from a TOML file of its own.
//
//   [machine]
//   levels = ["nvlink", "ethernet"]   # innermost first
//   memory = 80e9                     # bytes per rank
//   [machine.nvlink]
//   components = 8
//   bandwidth = 3.6e12                # bit/s, one way
//   [machine.ethernet]
//   components = 4
//   bandwidth = 1e11
//   latency = 1e-5

#include "strait/core/deck.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace strait::pipeline {

/// Links that join `components` groups of the level below; of the lowest level, ranks.
struct MachineLevel {
  int components = 1;
  double bandwidth = 0.0;  ///< bit/s, one way
  double latency = 0.0;    ///< seconds
  bool duplex = true;      ///< both ways at once at full bandwidth
  std::string name = {};
};

struct Machine {
  std::vector<MachineLevel> levels;  ///< innermost first (SOSP'19, section 3.1)
  std::vector<double> speed;         ///< of each rank, relative to the profiled one; empty: all 1
  std::int64_t memory_bytes = 0;     ///< per rank; 0: no limit

  int ranks() const;
  double speed_of(int rank) const { return speed.empty() ? 1.0 : speed[rank]; }
  /// The level whose links two different ranks meet on: the lowest whose group holds both.
  const MachineLevel& link(int a, int b) const;

  /// Reads [machine]; refuses what cannot be, with the place in the file.
  static Machine from_deck(Table table);
  /// Error(ExitCode::io) where the file cannot be read, Error(ExitCode::deck) where it is no machine.
  static Machine from_file(const std::string& path);
};

/// More ranks than any plan is made for; keeps products of components in range.
inline constexpr int most_ranks = 1 << 16;

}  // namespace strait::pipeline
