#pragma once
// How long a rank is busy with an action.

#include "strait/pipeline/simulator.hpp"

#include <vector>

namespace strait::pipeline::simulator_detail {

/// Layers and updates; what else takes a rank's time is a codec's.
bool computes(ActionKind kind);

class Durations {
 public:
  Durations(const Schedule& schedule, const SimulationCosts& costs, const Machine& machine);

  /// Seconds, without any wait.
  double of(int rank, const Action& action) const {
    return on_rank_of_speed_1(rank, action) * slowness_[rank];
  }
  double slowness(int rank) const { return slowness_[rank]; }

 private:
  double on_rank_of_speed_1(int rank, const Action& action) const;

  int virtual_stage(int rank, int chunk) const { return chunk * stages_ + stage_of_[rank]; }

  int stages_;
  const SimulationCosts& costs_;
  std::vector<int> stage_of_;     ///< of each rank
  std::vector<double> slowness_;  ///< of each rank
  std::vector<double> update_;    ///< of each rank: its stages and the ends of their boundaries
};

}  // namespace strait::pipeline::simulator_detail
