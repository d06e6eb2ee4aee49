#pragma once
// The machine that a plan is made for: ranks in a hierarchy of links. Read from a TOML file of its own.

#include "strait/core/deck.hpp"

#include <cstdint>
#include <vector>

namespace strait::pipeline {

/// Links that join `components` groups of the level below; of the lowest level, ranks.
struct MachineLevel {
  int components = 1;
  double bandwidth = 0.0;  ///< bit/s, one way
  double latency = 0.0;    ///< seconds
  bool duplex = true;      ///< both ways at once at full bandwidth
};

struct Machine {
  std::vector<MachineLevel> levels;  ///< innermost first (SOSP'19, section 3.1)
  std::vector<double> speed;         ///< of each rank, relative to the profiled one; empty: all 1
  std::int64_t memory_bytes = 0;     ///< per rank; 0: no limit

  int ranks() const;
  double speed_of(int rank) const { return speed.empty() ? 1.0 : speed[rank]; }
  /// The level whose links two different ranks meet on: the lowest whose group holds both.
  const MachineLevel& link(int a, int b) const;

  /// Refuses what cannot be, with the place in the file.
  static Machine from_deck(Table table);
};

}  // namespace strait::pipeline
