#include "strait/pipeline/simulator.hpp"

#include "strait/core/error.hpp"

#include "simulated_durations.hpp"
#include "simulated_sums.hpp"
#include "simulated_traffic.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace strait::pipeline {
namespace {

using enum ActionKind;
using simulator_detail::Durations;
using simulator_detail::Event;
using simulator_detail::EventKind;
using simulator_detail::Events;
using simulator_detail::Sums;
using simulator_detail::Traffic;

class Engine {
 public:
  Engine(const Schedule& schedule, const SimulationCosts& costs, const Machine& machine, bool keep_actions)
      : schedule_(schedule),
        machine_(machine),
        keep_actions_(keep_actions),
        durations_(schedule, costs, machine),
        traffic_(schedule, costs, machine, events_),
        sums_(schedule, costs, machine, events_),
        ranks_(schedule.ranks.size()) {
    ensure(machine.ranks() >= ranks(), "every rank of a schedule is on the machine");
    out_.ranks.resize(ranks_.size());
    if (keep_actions) {
      for (std::size_t rank = 0; rank < ranks_.size(); ++rank) {
        out_.ranks[rank].actions.reserve(schedule.ranks[rank].size());
      }
    }
  }

  Simulation run() {
    for (int rank = 0; rank < ranks(); ++rank) advance(rank);
    while (!events_.empty()) {
      const Event event = events_.take();
      if (traffic_.is_outdated(event)) continue;
      events_.begin(event);
      happen(event);
    }
    for (int rank = 0; rank < ranks(); ++rank) ensure(finished(rank), "a proven schedule comes to its end");
    out_.seconds = events_.now();
    out_.links = traffic_.take_links();
    out_.links.insert(out_.links.end(), sums_.links().begin(), sums_.links().end());
    return std::move(out_);
  }

 private:
  struct Rank {
    std::size_t next = 0;
    bool busy = false;     ///< until its event
    bool entered = false;  ///< the action at hand, at `start`
    bool joined = false;   ///< its part of the exchange at hand is given
    double start = 0.0;
    double waited = 0.0;
  };

  int ranks() const { return static_cast<int>(ranks_.size()); }
  bool finished(int rank) const { return ranks_[rank].next == schedule_.ranks[rank].size(); }
  const Action& current(int rank) const { return schedule_.ranks[rank][ranks_[rank].next]; }

  void happen(const Event& event) {
    switch (event.kind) {
      case EventKind::rank_done:
        complete(event.subject);
        advance(event.subject);
        break;
      case EventKind::message_left:
        advance(traffic_.left(event.subject));
        break;
      case EventKind::message_arrived:
        advance(traffic_.arrived(event.subject));
        break;
      case EventKind::part_given:
        sums_.given(event.subject);
        break;
      case EventKind::part_summed:
        if (const auto stage = sums_.summed(event.subject)) advance_stage(*stage);
        break;
    }
  }

  void advance_stage(int stage) {
    const Placement placement = schedule_.placement();
    for (int replica = 0; replica < placement.replicas_of(stage); ++replica) {
      advance(placement.rank_of(stage, replica));
    }
  }

  /// Runs the rank's actions until one takes time or has to wait.
  void advance(int rank) {
    Rank& state = ranks_[rank];
    while (!state.busy && !finished(rank)) {
      if (!state.entered) {
        state.entered = true;
        state.start = events_.now();
      }
      const Action& action = current(rank);
      if (action.kind == norm_reduce || action.kind == loss_reduce) return meet(rank);
      if (!may_begin(rank, action)) return;
      state.waited = events_.now() - state.start;
      const double seconds = durations_.of(rank, action);
      SimulatedRank& totals = out_.ranks[rank];
      (simulator_detail::computes(action.kind) ? totals.compute : totals.codec) += seconds;
      sums_.compute(rank, action, seconds, durations_.slowness(rank));
      if (seconds > 0.0) {
        state.busy = true;
        events_.plan(seconds, EventKind::rank_done, rank);
        return;
      }
      complete(rank);
    }
  }

  /// False where the action has to wait.
  bool may_begin(int rank, const Action& action) {
    switch (action.kind) {
      case begin_all_reduce:
        sums_.begin(rank, action.chunk);
        return true;
      case all_reduce:
        return sums_.all_reduce(rank, action.chunk);
      case tied_reduce:
        if (!std::exchange(ranks_[rank].joined, true)) traffic_.send_tied(rank, ranks_[rank].next);
        return traffic_.tied_crossed(rank, ranks_[rank].next);
      default:
        return traffic_.may_begin(schedule_.ranks[rank], rank, ranks_[rank].next);
    }
  }

  /// Ends the action at hand, with what others have waited for.
  void complete(int rank) {
    Rank& state = ranks_[rank];
    const Action& action = current(rank);
    if (keep_actions_) {
      out_.ranks[rank].actions.push_back(
          {.start = state.start, .waited = state.waited, .end = events_.now()});
    }
    if (action.kind == step) out_.ranks[rank].updates.push_back(events_.now());
    state.busy = state.entered = state.joined = false;
    const std::size_t index = state.next++;
    if (action.kind == all_reduce) {
      sums_.complete(rank, action.chunk);
    } else if (action.kind == tied_reduce) {
      traffic_.complete_tied(rank, index);
    } else {
      traffic_.complete(rank, index);
    }
  }

  /// Lets all ranks pass a reduction when the last has come to it: a tree of messages without length, up and
  /// down.
  void meet(int rank) {
    if (std::exchange(ranks_[rank].joined, true) || ++meeting_ < ranks()) return;
    meeting_ = 0;
    double latency = 0.0;
    for (const auto& level : machine_.levels) latency = std::max(latency, level.latency);
    const double seconds = latency * std::ceil(std::log2(ranks()));
    for (int each = 0; each < ranks(); ++each) {
      Rank& state = ranks_[each];
      state.busy = true;
      state.waited = events_.now() + seconds - state.start;
      events_.plan(seconds, EventKind::rank_done, each);
    }
  }

  const Schedule& schedule_;
  const Machine& machine_;
  const bool keep_actions_;
  Events events_;
  Durations durations_;
  Traffic traffic_;
  Sums sums_;
  std::vector<Rank> ranks_;
  int meeting_ = 0;  ///< ranks in the reduction at hand
  Simulation out_;
};

}  // namespace

int Simulation::updates() const { return std::max(1, static_cast<int>(ranks.back().updates.size())); }

double Simulation::seconds_per_update() const {
  const std::vector<double>& ends = ranks.back().updates;
  if (ends.size() < 2) return seconds;
  const std::size_t middle = (ends.size() - 1) / 2;
  return (ends.back() - ends[middle]) / static_cast<double>(ends.size() - 1 - middle);
}

double Simulation::idle_share(int rank) const {
  const double all = updates() * seconds_per_update();
  return all > 0.0 ? 1.0 - ranks[rank].busy() / all : 0.0;
}

Simulation simulate(const Schedule& schedule, const SimulationCosts& costs, const Machine& machine,
                    bool keep_actions) {
  return Engine(schedule, costs, machine, keep_actions).run();
}

}  // namespace strait::pipeline
