#pragma once
// Schedules are data: one list of actions per rank. The executor interprets the lists, the verifier proves
// them.
//
// Which rank owns which virtual stages and runs which micro-batches is a Placement. Boundary p lies between
// virtual stages p and p + 1; its messages go to and from the ranks that run their micro-batch. Where
// boundary ends synchronise, replica k of the end that receives hears from replica k modulo the others'
// number.

#include "strait/pipeline/placement.hpp"
#include "strait/pipeline/version_rule.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace strait::pipeline {

enum class ActionKind {
  forward,           ///< layers of one micro-batch
  evaluate,          ///< head and loss of one micro-batch, without gradients
  logits,            ///< head at one position of one micro-batch, and the choice of the next token
  backward,          ///< gradients of one micro-batch
  backward_input,    ///< the half that the stage before waits for
  backward_weight,   ///< the other half
  send_forward,      ///< encode, then lend the message to the transport
  receive_forward,   ///< wait for the message, then decode
  send_backward,     ///< as above, gradients
  receive_backward,  ///< as above, gradients
  codec_sync_up,     ///< from the receiving end of a boundary to its sending end
  codec_sync_down,   ///< from the sending end to the receiving end
  begin_all_reduce,  ///< from here on gradients go to the other replicas of the stage as they get complete
  all_reduce,        ///< the replicas of a stage add up their gradients; waits for the sum
  tied_reduce,       ///< first and last stage add up their gradients of the tied token table
  norm_reduce,       ///< every rank learns loss, gradient norm and votes
  loss_reduce,       ///< every rank learns the loss (or the chosen token)
  step,              ///< optimisers of weights and boundary ends; one update of the stage
  report,            ///< hands loss, gradient norm and vote to the other ranks; nobody waits
};

std::string_view name(ActionKind kind);

struct Action {
  ActionKind kind;
  int micro_batch = -1;  ///< within the list
  int chunk = 0;
  int slot = 0;  ///< where the micro-batch's activations live on this rank
  /// Weights to compute with (of a message: its sender's): updates of that stage since the list began,
  /// negative for those that are kept from before. Of step the update, of codec_sync and report the step that
  /// they belong to.
  int version = 0;
  int boundary = -1;  ///< of a message
  int peer = -1;      ///< rank at the other side

  bool operator==(const Action&) const = default;
};

using ActionList = std::vector<Action>;

struct Schedule {
  std::string name;
  int stages = 1;
  int micro_batches = 1;
  int chunks = 1;
  std::vector<int> replicas = {};  ///< of each stage; empty: one of each
  std::vector<ActionList> ranks;
  std::optional<VersionRule> rule = std::nullopt;  ///< of weights; none: one step that begins and ends empty

  Placement placement() const { return {stages, chunks, replicas}; }
  int virtual_stage(int rank, int chunk) const { return placement().virtual_stage(rank, chunk); }
  int virtual_stages() const { return stages * chunks; }
};

struct ScheduleOptions {
  bool tied_embeddings = false;  ///< first and last stage hold copies of one table
  int chunks = 1;                ///< runs of layers per stage; more than one needs more than one stage
  /// Of each stage; empty: one of each. All alike where there are chunks, first and last where embeddings are
  /// tied.
  std::vector<int> replicas = {};
};

/// One training step of `micro_batches` micro-batches, at least as many as a stage has replicas:
/// - "gpipe" (Huang et al. 2019): all forwards, all backwards;
/// - "1f1b" (PipeDream-flush, Narayanan et al. 2021): as few micro-batches in flight as keep all stages busy;
/// - "interleaved" (Narayanan et al. 2021): 1f1b with `chunks` runs of layers per rank, which divide the idle
///   time; any number of micro-batches, the idle time of the next multiple of the stages;
/// - "zb-h1" (Qi et al. 2023): 1f1b whose backwards are split, the weights' halves filling its idle time.
/// All run the backwards of a rank in the order of the micro-batches, so their gradients are bitwise equal.
/// Replicas add up their gradients at the end of the step.
Schedule schedule(std::string_view name, int stages, int micro_batches, const ScheduleOptions& options = {});

/// Whether all micro-batches of a step meet the same weights, and the step ends with their one update.
bool synchronous(std::string_view name);

/// Whether a rank may own several runs of layers.
bool takes_chunks(std::string_view name);

/// Forward and loss only.
Schedule evaluation_schedule(int stages, int micro_batches, const ScheduleOptions& options = {});

/// One forward, the logits at one position and the choice of a token on the last stage.
Schedule next_token_schedule(int stages, const ScheduleOptions& options = {});

bool is_send(ActionKind kind);
bool is_receive(ActionKind kind);

/// Whether virtual stage `stage` sends the message of a codec_sync action; the other side receives it.
bool sends_sync(const Action& action, int stage);

}  // namespace strait::pipeline
