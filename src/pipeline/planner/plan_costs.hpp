#pragma once
// What the parts of a plan cost. Seconds are per micro-batch of the whole pipeline.

#include "strait/pipeline/planner.hpp"

#include <vector>

namespace strait::pipeline {

class PlanCosts {
 public:
  explicit PlanCosts(const PlanTask& task);

  int layers() const { return static_cast<int>(compute_.size()) - 1; }
  double memory() const { return memory_; }  ///< bytes of a rank for layers

  /// What holds for every run of layers at a place.
  struct Seat {
    double share = 1.0;     ///< of the micro-batches that a replica computes
    double updates = 1.0;   ///< per micro-batch
    double slowness = 1.0;  ///< of the slowest replica
    int in_flight = 1;
    int versions = 1;
  };
  /// Of `replicas` ranks, the slowest of `speed`, with `ranks_behind` in later stages.
  Seat seat(int replicas, int ranks_behind, double speed) const;

  /// Of so many ranks behind, what makes a difference to any seat's memory.
  int felt(int ranks_behind) const;

  struct Terms {
    double compute = 0.0;
    double codec = 0.0;
    double update = 0.0;
    double pass = 0.0;    ///< seconds of one micro-batch
    double memory = 0.0;  ///< bytes of a rank
    double busy() const { return compute + codec + update; }
  };
  /// Of layers first .. last - 1.
  Terms terms(const Seat& seat, int first, int last) const;

  /// Seconds of an all-reduce: per byte of weights, and whatever the bytes.
  struct Ring {
    double per_byte = 0.0;
    double fixed = 0.0;
  };
  /// Sums at a seat: layers i .. j - 1 keep a rank busy for busy_begin[i] + busy_end[j], a micro-batch for
  /// pass_begin[i] + pass_end[j], and kept[j] - kept[i] bytes.
  struct Sums {
    std::vector<double> busy_begin, busy_end, pass_begin, pass_end, kept;
  };
  void sums(const Seat& seat, Sums& out) const;

  /// Over `components` groups of the level below, each of which holds `multiplicity` / `components` replicas
  /// of what they replicate.
  Ring ring(int level, int components, int multiplicity) const;
  double weights(int first, int last) const { return weights_[last] - weights_[first]; }

  /// The messages of a cut before layer `cut` on a link of `level`, where `multiplicity` pipelines share the
  /// micro-batches.
  double transfer(int level, int cut, int multiplicity) const;
  /// Seconds of one micro-batch over such a cut, there and back.
  double crossing(int level, int cut) const;

  /// Seconds of layers 0 .. last - 1 on a rank of speed 1, without codecs.
  const std::vector<double>& compute_before() const { return compute_; }

 private:
  double share(int replicas) const;
  double updates(int replicas) const;
  /// Bytes of all versions for each of the newest.
  double versions(const Seat& seat) const { return 1.0 + (seat.versions - 1) * version_share_; }

  const std::vector<MachineLevel> levels_;
  const SyncRule rule_;
  const std::string schedule_;
  const std::string weight_versions_;
  const double version_share_;  ///< bytes of an earlier version for each of the newest
  const bool updates_each_micro_batch_;
  const int micro_batches_;
  const int ranks_;
  double memory_;
  double sync_down_, sync_up_;
  std::vector<double> compute_, update_, weights_, state_, activations_;  ///< sums before a layer
  std::vector<double> enter_, leave_, enter_update_, leave_update_;       ///< of a stage that begins or ends
  std::vector<double> forward_, backward_;                                ///< bytes over a cut
};

}  // namespace strait::pipeline
