#pragma once
// Writes the list of one rank, pass by pass; generators say only in which order.

#include "strait/pipeline/schedule.hpp"

namespace strait::pipeline {

/// Appends `action`, a codec_sync, between the end of its boundary on `rank` and that at virtual stage
/// `other`, once for each message of this rank: replica k of the end that receives hears from replica k
/// modulo the others' number.
void add_synchronisation(ActionList& list, const Placement& placement, int rank, int other,
                         const Action& action);

class ScheduleWriter {
 public:
  /// Of `schedule` only the shape is used: placement and micro-batches.
  ScheduleWriter(const Schedule& schedule, int rank, const ScheduleOptions& options)
      : placement_(schedule.placement()),
        rank_(rank),
        replica_(placement_.replica_of(rank)),
        all_(schedule.micro_batches),
        options_(options) {}

  int stages() const { return placement_.stages; }
  int stage() const { return placement_.stage_of(rank_); }
  int chunks() const { return placement_.chunks; }

  // Generators count the micro-batches of this rank alone.
  int micro_batches() const { return (all_ - replica_ + replicas() - 1) / replicas(); }
  /// Forwards before the first backward that keep all later ranks busy: floor((ranks after the first of this
  /// stage) / replicas), stages - 1 - stage without replicas.
  int warm_up() const;
  /// The same for the ranks before this stage.
  int delay() const { return placement_.ranks_before(stage()) / replicas(); }

  // Layers of one micro-batch with the messages before and behind them.
  void forward_pass(int micro_batch, int chunk = 0);
  void backward_pass(int micro_batch, int chunk = 0);
  void backward_input_pass(int micro_batch, int chunk = 0);
  /// The other half of a backward, which needs no message.
  void backward_weight(int micro_batch, int chunk = 0);
  /// A forward, then `head` (evaluate or logits) on the last stage.
  void evaluation_pass(ActionKind head, int micro_batch, int chunk = 0);

  /// What ends a synchronous step.
  void finish_step();
  void finish_evaluation() { list_.push_back({.kind = ActionKind::loss_reduce}); }

  /// The list, each micro-batch with the lowest slot that is free from its first to its last action on a
  /// chunk.
  ActionList take();

 private:
  int virtual_stage(int chunk) const { return placement_.virtual_stage(rank_, chunk); }
  bool is_first(int chunk) const { return virtual_stage(chunk) == 0; }
  bool is_last(int chunk) const { return virtual_stage(chunk) == placement_.virtual_stages() - 1; }
  int replicas() const { return placement_.replicas_of(stage()); }
  /// As the whole step counts.
  int global(int micro_batch) const { return micro_batch * replicas() + replica_; }

  void begin_all_reduce(int chunk);
  /// Between this end of a boundary and that at virtual stage `other`.
  void synchronise(ActionKind kind, int chunk, int boundary, int other);
  void compute(ActionKind kind, int micro_batch, int chunk);
  /// The boundary to the stage before, where there is one.
  void upstream(ActionKind kind, int micro_batch, int chunk);
  /// The boundary to the next stage, where there is one.
  void downstream(ActionKind kind, int micro_batch, int chunk);

  Placement placement_;
  int rank_;
  int replica_;
  int all_;  ///< micro-batches of the step
  ScheduleOptions options_;
  ActionList list_;
};

}  // namespace strait::pipeline
