#pragma once
// Writes the list of one rank, pass by pass; generators say only in which order.

#include "strait/pipeline/schedule.hpp"

namespace strait::pipeline {

class ScheduleWriter {
 public:
  /// Of `schedule` only the shape is used: stages, chunks and micro-batches.
  ScheduleWriter(const Schedule& schedule, int rank, const ScheduleOptions& options)
      : shape_(schedule), rank_(rank), options_(options) {}

  int rank() const { return rank_; }
  int stages() const { return shape_.stages; }
  int chunks() const { return shape_.chunks; }
  int micro_batches() const { return shape_.micro_batches; }

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
  bool is_first(int chunk) const { return stage(chunk) == 0; }
  bool is_last(int chunk) const { return stage(chunk) == shape_.virtual_stages() - 1; }
  int stage(int chunk) const { return shape_.virtual_stage(rank_, chunk); }

  void compute(ActionKind kind, int micro_batch, int chunk);
  /// The boundary to the stage before, where there is one.
  void upstream(ActionKind kind, int micro_batch, int chunk);
  /// The boundary to the next stage, where there is one.
  void downstream(ActionKind kind, int micro_batch, int chunk);

  const Schedule& shape_;
  int rank_;
  ScheduleOptions options_;
  ActionList list_;
};

}  // namespace strait::pipeline
