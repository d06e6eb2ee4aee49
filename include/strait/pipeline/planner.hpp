#pragma once
// Cuts a model into stages and gives each a number of ranks (PipeDream: arXiv 1806.03377, section 3.2; its
// hierarchical form: Narayanan et al., SOSP 2019, section 3.1). docs/planning.md has the equations.

#include "strait/pipeline/machine.hpp"
#include "strait/pipeline/profile.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace strait::pipeline {

/// A layer that is not cut, for one micro-batch on a rank of speed 1.
struct PlanLayer {
  double forward = 0.0;  ///< seconds
  double backward_input = 0.0;
  double backward_weight = 0.0;
  double update = 0.0;  ///< seconds of an update
  double parameter_bytes = 0.0;
  double state_bytes = 0.0;       ///< gradients and optimiser
  double activation_bytes = 0.0;  ///< kept from forward to backward
  double bytes_forward = 0.0;     ///< of the message behind it, encoded
  double bytes_backward = 0.0;    ///< of the message that comes back

  double compute() const { return forward + backward_input + backward_weight; }
};

/// What a boundary adds to its two stages, and to its link beside the messages.
struct PlanBoundary {
  double sender_seconds = 0.0;    ///< encode and decode_gradient of a micro-batch
  double receiver_seconds = 0.0;  ///< decode and encode_gradient
  double update_seconds = 0.0;    ///< of either end, per update
  double sync_down_bytes = 0.0;   ///< per update, with the activations
  double sync_up_bytes = 0.0;     ///< per update, with the gradients
};

/// How links and all-reduces are priced.
enum class SyncRule {
  ring,  ///< bytes both ways, latency, duplex; a ring's 2 (m - 1) / m of the weights per update
  paper  ///< 2 a / B and 2 (m - 1) w / B, as in the papers
};

struct PlanTask {
  std::vector<PlanLayer> layers;
  PlanBoundary boundary;
  Machine machine;
  std::string schedule = "1f1b";
  std::string weight_versions = "stash";  ///< of schedule pipedream
  bool bfloat16 = false;                  ///< versions of weights are kept in it, the newest in float32
  double workspace_bytes = 0.0;           ///< that a rank needs whatever its layers
  int micro_batches = 1;                  ///< per step; pipedream updates after each
  SyncRule sync = SyncRule::ring;
};

/// A run of layers with its replicas. Seconds are per micro-batch of the whole pipeline unless they say
/// otherwise.
struct PlanStage {
  int first_layer = 0;
  int last_layer = 0;      ///< one past the last
  std::vector<int> ranks;  ///< its replicas
  double compute = 0.0;    ///< of the slowest replica, as are codec and update
  double codec = 0.0;
  double update = 0.0;
  double all_reduce = 0.0;       ///< of the slowest level
  double transfer = 0.0;         ///< over the boundary behind it
  double pass = 0.0;             ///< seconds of one micro-batch here, forward and backward
  double backward = 0.0;         ///< of these, of the backward
  double backward_weight = 0.0;  ///< of these, what schedule zb-h1 moves
  double crossing = 0.0;         ///< seconds of one micro-batch over the boundary behind it, there and back
  int links = 1;                 ///< over which its micro-batches cross that boundary
  int in_flight = 1;             ///< micro-batches per replica
  int versions = 1;              ///< copies of the weights
  double memory_bytes = 0.0;

  int replicas() const { return static_cast<int>(ranks.size()); }
  double busy() const { return compute + codec + update; }
};

struct Plan {
  std::vector<PlanStage> stages;
  double seconds_per_micro_batch = 0.0;  ///< of the bottleneck: what is optimised
  double seconds_one_micro_batch = 0.0;  ///< through all stages and back; breaks ties
  double seconds_per_step = 0.0;         ///< with fill, drain and what no all-reduce hides
  bool drains = true;                    ///< at the end of a step
  int micro_batches_in_flight = 1;       ///< NOAM: ranks / ranks of the first stage, rounded up

  int ranks() const;
};

/// The plan of least seconds per micro-batch on all ranks of the machine, and among these one that takes a
/// single micro-batch through in the least time. Error(ExitCode::deck) where none fits into memory.
Plan make_plan(const PlanTask& task);

/// The same where nothing drains. For a synchronous schedule a plan of little time per step, which weighs the
/// bottleneck against filling and draining: the best of those that pass one micro-batch soonest under a
/// few bounds on the bottleneck, up to four times the least.
Plan make_plan_for_step(const PlanTask& task);

/// The least seconds per micro-batch with `replicas` ranks for each stage, in the order of the ranks: chooses
/// the cuts alone.
Plan cut_layers(const PlanTask& task, const std::vector<int>& replicas);

/// Layers of a profile as a pipeline may cut them: the token table goes with the first block, the head with
/// the last. A profile whose boundary has no bytes sends each layer's output as it is.
std::vector<PlanLayer> plan_layers(const Profile& profile);
PlanBoundary plan_boundary(const Profile& profile);

}  // namespace strait::pipeline
