#pragma once
// The [network] table: what a run makes of the links between its ranks.

#include "strait/core/deck.hpp"
#include "strait/pipeline/profile.hpp"

namespace strait::pipeline {

/// Whether MPI is given device memory: automatic where a test at start passes; on: the test must pass.
enum class GpuAware { automatic, on, off };

/// How messages reach MPI, and links that are slower than those that are there.
struct NetworkConfig {
  GpuAware gpu_aware = GpuAware::automatic;
  double bandwidth = 0.0;  ///< bit/s, one way; 0: the links as they are
  double latency = 0.0;    ///< seconds of an empty message, one way
  bool duplex = true;      ///< both ways at once at full bandwidth; otherwise they share it

  bool emulated() const { return bandwidth > 0.0; }
  /// The link that is emulated, as a profile would find it.
  LinkProfile link() const {
    return {.bandwidth = bandwidth, .latency = latency, .bandwidth_both = duplex ? bandwidth : bandwidth / 2};
  }

  static NetworkConfig from_deck(Table table);
};

}  // namespace strait::pipeline
