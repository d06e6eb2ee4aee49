#pragma once
// What a schedule would take on a machine: a discrete-event simulation of the executor, the mailboxes and the
// links, from costs instead of kernels.
//
// The rules are those of the program. A rank runs its list in order. It encodes into one of the buffers of a
// channel and goes on at once; messages move while ranks compute. A message leaves once a buffer at its
// receiver is free and nothing older goes its way; it occupies the link for bytes / bandwidth and arrives a
// latency later. Two stages have as many links as the one with fewer ranks has of them (of groups of the
// level below, where they meet above the lowest level of the machine). One that is not duplex halves its
// bandwidth while messages go both ways, as two streams of TCP do.
//
// What the replicas of a stage add up crosses links of its own, part by part, as soon as all of them have
// computed a part: see docs/simulation.md.

#include "strait/pipeline/machine.hpp"
#include "strait/pipeline/schedule.hpp"

#include <cstdint>
#include <optional>
#include <vector>

namespace strait::pipeline {

/// Of what the replicas of a stage add up: a part that is complete before others.
struct ReplicaPart {
  double bytes = 0.0;
  /// Seconds of the last backward, or of the last weights' half of one, that are left on a rank of speed 1
  /// once the part is complete. None: it goes out with the wait for all parts.
  std::optional<double> left_of_backward = {};
  std::optional<double> left_of_weights = {};
};

/// Of a virtual stage on a rank of speed 1, in seconds: per micro-batch, and one update.
struct StageCosts {
  double forward = 0.0;
  double backward_input = 0.0;
  double backward_weight = 0.0;
  double update = 0.0;
  std::vector<ReplicaPart> sums = {};  ///< where it has replicas: in the order in which they go out
};

/// Of a boundary: seconds of its ends on a rank of speed 1, and bytes, per micro-batch; of `update` and
/// synchronisation, per step. Without bytes, nothing is synchronised.
struct BoundaryCosts {
  double encode = 0.0;
  double decode = 0.0;
  double encode_gradient = 0.0;
  double decode_gradient = 0.0;
  double update = 0.0;  ///< at either end
  double bytes_forward = 0.0;
  double bytes_backward = 0.0;
  double bytes_sync_up = 0.0;
  double bytes_sync_down = 0.0;
};

struct SimulationCosts {
  std::vector<StageCosts> stages;         ///< virtual
  std::vector<BoundaryCosts> boundaries;  ///< between them
  double bytes_tied = 0.0;                ///< gradient of a tied token table, each way
};

/// Seconds since the list began.
struct SimulatedAction {
  double start = 0.0;
  double waited = 0.0;  ///< part of start to end, for a message, a free buffer or other ranks
  double end = 0.0;
};

struct SimulatedRank {
  double compute = 0.0;                  ///< seconds in layers and updates
  double codec = 0.0;                    ///< seconds in encoding and decoding
  std::vector<SimulatedAction> actions;  ///< of its list, where they are asked for
  std::vector<double> updates;           ///< ends of the list's updates

  double busy() const { return compute + codec; }
};

/// One direction of a link.
struct SimulatedLink {
  int from = 0;  ///< a rank on either side
  int to = 0;    ///< -1: the other replicas of the stage
  double bytes = 0.0;
  double seconds = 0.0;  ///< of use by this direction
};

struct Simulation {
  double seconds = 0.0;  ///< until all lists are done and all messages have left
  std::vector<SimulatedRank> ranks;
  std::vector<SimulatedLink> links;  ///< those that are used, in the order of first use in the lists

  /// Of a list; at least 1.
  int updates() const;
  /// Where lists hold one update or none, all their time. Otherwise from one update of the last rank to the
  /// next, once the pipeline has filled: in the second half.
  double seconds_per_update() const;
  /// Of the time of an update, 0..1.
  double idle_share(int rank) const;
};

/// `schedule` must be one that can be proven; `machine` has at least as many ranks. The same costs give the
/// same times to the last bit.
Simulation simulate(const Schedule& schedule, const SimulationCosts& costs, const Machine& machine,
                    bool keep_actions = false);

}  // namespace strait::pipeline
