#pragma once
// What the replicas of a stage add up, part by part, while they compute.

#include "strait/pipeline/simulator.hpp"

#include "simulated_events.hpp"

#include <optional>
#include <vector>

namespace strait::pipeline::simulator_detail {

/// A sum over ranks, each of which owns an equal part: it gets that part from all others and sends them the
/// total.
struct SumPrice {
  double seconds_per_byte = 0.0;  ///< of the summed vector, on the busiest link
  double latency = 0.0;           ///< there and back
};

/// Of consecutive ranks first .. last - 1. Those of one group of the level below share its link of a level.
SumPrice sum_price(const Machine& machine, int first, int last);

class Sums {
 public:
  Sums(const Schedule& schedule, const SimulationCosts& costs, const Machine& machine, Events& events);

  /// The next computation of the chunk that adds to gradients is its last.
  void begin(int rank, int chunk) { member(rank, chunk).begun = true; }
  /// A rank that is `slowness` times as slow as the profiled one computes for `seconds` from now.
  void compute(int rank, const Action& action, double seconds, double slowness);
  /// Gives what is not given yet; true once all replicas' parts are summed.
  bool all_reduce(int rank, int chunk);
  void complete(int rank, int chunk);

  void given(int subject);
  /// The stage whose ranks may go on.
  std::optional<int> summed(int subject);

  const std::vector<SimulatedLink>& links() const { return links_; }  ///< one for each replica

 private:
  /// A virtual stage at a rank.
  struct Member {
    bool begun = false;
    bool joined = false;
    std::int64_t round = 0;  ///< sums that it has waited for, the one at hand included
    std::vector<bool> given;
  };
  /// A virtual stage.
  struct Group {
    std::vector<ReplicaPart> parts;
    std::vector<int> given;   ///< replicas that have given a part
    int summed = 0;           ///< parts
    std::int64_t rounds = 0;  ///< sums that are complete
  };
  /// The links of a stage's ranks for sums.
  struct Port {
    SumPrice price;
    double free_at = 0.0;
    int first_link = 0;
    int ranks = 0;
  };

  Member& member(int rank, int chunk) { return members_[rank * chunks_ + chunk]; }
  Group& group(int rank, int chunk) { return groups_[chunk * stages_ + stage_of_[rank]]; }
  void give(int rank, int chunk, int part);
  int ranks_of(int virtual_stage) const { return ports_[virtual_stage % stages_].ranks; }

  int stages_, chunks_, most_parts_ = 1;
  Events& events_;
  std::vector<int> stage_of_;  ///< of each rank
  std::vector<Member> members_;
  std::vector<Group> groups_;
  std::vector<Port> ports_;
  std::vector<SimulatedLink> links_;
};

}  // namespace strait::pipeline::simulator_detail
