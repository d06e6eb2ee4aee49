#include "strait/pipeline/placement.hpp"

#include <numeric>

namespace strait::pipeline {

int Placement::ranks_before(int stage) const {
  return replicas.empty() ? stage : std::accumulate(replicas.begin(), replicas.begin() + stage, 0);
}

int Placement::stage_of(int rank) const {
  if (replicas.empty()) return rank;
  int stage = 0;
  while (rank >= replicas[stage]) rank -= replicas[stage++];
  return stage;
}

}  // namespace strait::pipeline
