#pragma once
// Proves a schedule before it runs.

#include "strait/pipeline/schedule.hpp"

#include <string>
#include <vector>

namespace strait::pipeline {

struct Verification {
  std::string problem;                  ///< the first fault found, empty when the schedule is proven
  std::vector<std::vector<int>> slots;  ///< [rank][chunk]: micro-batches in flight, what a stage must hold

  bool proven() const { return problem.empty(); }
};

/// Proves of a schedule, or names the first fault:
/// - every virtual stage runs each micro-batch forward once, and backward once where the list has a step (in
///   one piece or in two halves, input first), each after what it needs and before a step that uses its
///   gradients; evaluations reach the head once per micro-batch;
/// - where all micro-batches share one step, the ends of each boundary synchronise once up before it, after
/// the
///   last of their messages and from the last boundary of a rank to the first, and once down after it;
/// - a micro-batch keeps its slot to itself; the one gradient buffer at each side of a stage is not
/// overwritten;
/// - forward and backward of a micro-batch use the same weights, or those that the schedule's rule says,
/// which
///   exist then and are among the copies kept; by a rule each step uses the gradients of its own
///   micro-batches;
/// - messages of a boundary are received in the order in which they are sent, by the right rank, and so is
///   the synchronisation of their ends among them; by a rule a receiver's end has then synchronised for as
///   many steps as the sender had done, whichever replica that was;
/// - no deadlock even where a send holds the only buffer of its channel until the receiver comes to the
/// receive
///   (rendezvous, no receive posted ahead); with more buffers or earlier receives ranks only wait less;
/// - the replicas of a stage run the micro-batches that the placement gives them, and add up their gradients
///   once they are complete and before the step uses them;
/// - all ranks come to the reductions in the same order.
Verification verify(const Schedule& schedule);

/// The same where a fault is a programming error.
Verification prove(const Schedule& schedule);

/// `schedule`, once it is proven.
Schedule proven(Schedule schedule);

}  // namespace strait::pipeline
