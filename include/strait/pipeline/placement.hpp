#pragma once
// Which rank runs what. A stage has one or several replicas: ranks that hold the same layers. Micro-batch b
// goes to replica b modulo their number, forward and backward alike. Ranks are numbered stage by stage.
//
// A stage owns `chunks` runs of layers; chunk c of stage s is virtual stage c * stages + s.

#include <span>
#include <vector>

namespace strait::pipeline {

/// A view: the replicas must outlive it.
struct Placement {
  int stages = 1;
  int chunks = 1;
  std::span<const int> replicas = {};  ///< of each stage; none: one of each

  int virtual_stages() const { return stages * chunks; }
  int ranks() const { return ranks_before(stages); }

  int stage_of(int rank) const;
  int replica_of(int rank) const { return rank - ranks_before(stage_of(rank)); }
  int virtual_stage(int rank, int chunk) const { return chunk * stages + stage_of(rank); }

  int replicas_of(int virtual_stage) const { return replicas.empty() ? 1 : replicas[virtual_stage % stages]; }
  int rank_of(int virtual_stage, int replica) const { return ranks_before(virtual_stage % stages) + replica; }
  /// The rank that runs a micro-batch.
  int rank_for(int virtual_stage, int micro_batch) const {
    return rank_of(virtual_stage, micro_batch % replicas_of(virtual_stage));
  }

  /// Ranks of the stages before `stage`.
  int ranks_before(int stage) const;
};

}  // namespace strait::pipeline
