#include "strait/pipeline/verifier.hpp"

#include "fault.hpp"
#include "rank_check.hpp"

#include <algorithm>
#include <deque>
#include <map>
#include <numeric>
#include <tuple>

namespace strait::pipeline {
namespace {

using enum ActionKind;
using namespace verifier_detail;

/// Runs all lists against each other. A send takes the one buffer of its channel and gives it back when the
/// receiver comes to the receive; ranks that hear of one synchronisation share its buffer. A reduction waits
/// for its participants.
class Simulation {
 public:
  explicit Simulation(const Schedule& schedule)
      : schedule_(schedule),
        next_(schedule.ranks.size(), 0),
        steps_(schedule.ranks.size(), 0),
        synchronised_(schedule.ranks.size(), 0) {}

  void run() {
    bool moved = true;
    while (moved) {
      moved = false;
      for (int rank = 0; rank < ranks(); ++rank) {
        while (!finished(rank) && try_action(rank)) moved = true;
      }
      moved = meet() || moved;
    }
    for (int rank = 0; rank < ranks(); ++rank) {
      if (!finished(rank)) throw Fault{describe(rank, current(rank)) + ": waits for ever"};
    }
    for (const auto& [channel, message] : on_the_way_) {
      throw Fault{describe(message.from, message.action) + ": nobody receives it"};
    }
  }

 private:
  struct OnTheWay {
    Action action;
    int from;
    int steps;  ///< that the sender had done
  };
  // What travels, boundary, sending rank; of synchronisation the receiving rank too.
  using Channel = std::tuple<int, int, int, int>;
  using Direction = std::tuple<int, int, int, int>;  // down or up, boundary, sending and receiving rank

  int ranks() const { return static_cast<int>(next_.size()); }
  bool finished(int rank) const { return next_[rank] == schedule_.ranks[rank].size(); }
  const Action& current(int rank) const { return schedule_.ranks[rank][next_[rank]]; }

  static bool is_reduction(const Action& action) {
    return action.kind == all_reduce || action.kind == tied_reduce || action.kind == norm_reduce ||
           action.kind == loss_reduce;
  }

  bool try_action(int rank) {
    const Action& action = current(rank);
    if (is_reduction(action)) return false;
    const int stage = schedule_.virtual_stage(rank, action.chunk);
    const bool sync = action.kind == codec_sync_up || action.kind == codec_sync_down;
    if (is_send(action.kind) || (sync && sends_sync(action, stage))) return send(rank, action);
    if (is_receive(action.kind) || sync) return receive(rank, action, stage);
    if (action.kind == report) ++steps_[rank];
    ++next_[rank];
    return true;
  }

  static Channel channel(const Action& action, int from, int to) {
    switch (action.kind) {
      case send_forward:
      case receive_forward:
        return {0, action.boundary, from, 0};
      case send_backward:
      case receive_backward:
        return {1, action.boundary, from, 0};
      case codec_sync_up:
        return {2, action.boundary, from, to};
      default:
        return {3, action.boundary, from, to};
    }
  }

  /// Whether the buffer of a synchronisation still holds an earlier one.
  bool synchronises_already(const Action& action, int from) const {
    return std::any_of(on_the_way_.begin(), on_the_way_.end(), [&](const auto& entry) {
      const Action& other = entry.second.action;
      return entry.second.from == from && other.kind == action.kind && other.boundary == action.boundary &&
             other.version != action.version;
    });
  }

  /// Messages and synchronisation of one direction: what they are decoded with changes in the order of
  /// sending.
  static Direction direction(const Action& action, int from, int to) {
    const bool down =
        action.kind == send_forward || action.kind == receive_forward || action.kind == codec_sync_down;
    return {down ? 0 : 1, action.boundary, from, to};
  }

  /// Whether `peer` has to do with the message of `action` at virtual stage `other`.
  bool is_peer(int rank, const Action& action, int other, bool sends) const {
    const Placement placement = schedule_.placement();
    if (action.micro_batch >= 0) return action.peer == placement.rank_for(other, action.micro_batch);
    const int own = placement.replica_of(rank), all = placement.replicas_of(placement.stage_of(rank));
    const int there = action.peer - placement.rank_of(other, 0), others = placement.replicas_of(other);
    if (there < 0 || there >= others) return false;
    return sends ? there % all == own : own % others == there;
  }

  bool send(int rank, const Action& action) {
    const bool downstream = action.kind == send_forward || action.kind == codec_sync_down;
    const int stage = schedule_.virtual_stage(rank, action.chunk);
    require(action.boundary == (downstream ? stage : stage - 1), rank, action,
            "not a boundary of this stage");
    require(is_peer(rank, action, downstream ? stage + 1 : stage - 1, true), rank, action,
            "the other side is another rank");
    if (action.micro_batch < 0 && synchronises_already(action, rank)) return false;
    if (!on_the_way_.emplace(channel(action, rank, action.peer), OnTheWay{action, rank, steps_[rank]}).second)
      return false;
    sent_[direction(action, rank, action.peer)].push_back(action.kind);
    ++next_[rank];
    return true;
  }

  bool receive(int rank, const Action& action, int stage) {
    const bool from_upstream = action.kind == receive_forward || action.kind == codec_sync_down;
    require(action.boundary == (from_upstream ? stage - 1 : stage), rank, action,
            "not a boundary of this stage");
    require(is_peer(rank, action, from_upstream ? stage - 1 : stage + 1, false), rank, action,
            "the message comes from another rank");
    const auto found = on_the_way_.find(channel(action, action.peer, rank));
    if (found == on_the_way_.end() || found->second.action.peer != rank) return false;
    const OnTheWay& message = found->second;
    require(message.action.micro_batch == action.micro_batch, rank, action,
            "another micro-batch was sent first");
    require(message.action.version == action.version, rank, action, "the sender used other weights");
    std::deque<ActionKind>& sent = sent_[direction(action, action.peer, rank)];
    require(sent.front() == message.action.kind, rank, action, "a message of another kind was sent first");
    sent.pop_front();
    if (schedule_.rule && action.kind == receive_forward) {
      require(message.steps == synchronised_[rank], rank, action,
              "its sender's end had synchronised otherwise");
    }
    if (action.kind == codec_sync_down) ++synchronised_[rank];
    on_the_way_.erase(found);
    ++next_[rank];
    return true;
  }

  /// Lets the ranks that wait in a reduction pass once all its participants are there.
  bool meet() {
    bool moved = false;
    for (int rank = 0; rank < ranks(); ++rank) {
      if (finished(rank) || !is_reduction(current(rank))) continue;
      const std::vector<int> all = participants(rank);
      if (!std::all_of(all.begin(), all.end(), [&](int other) { return is_with(rank, other); })) continue;
      for (const int other : all) ++next_[other];
      moved = true;
    }
    return moved;
  }

  /// Of the reduction that `rank` has come to.
  std::vector<int> participants(int rank) const {
    const Action& action = current(rank);
    if (action.kind == tied_reduce) {
      require(holds_tied_table(rank), rank, action, "it has no copy");
      require(action.peer >= 0 && action.peer < ranks() && action.peer != rank, rank, action,
              "the other copy is at another rank");
      return {rank, action.peer};
    }
    const Placement placement = schedule_.placement();
    const bool of_stage = action.kind == all_reduce;
    const int stage = of_stage ? placement.stage_of(rank) : 0;
    std::vector<int> all(of_stage ? placement.replicas_of(stage) : ranks());
    std::iota(all.begin(), all.end(), of_stage ? placement.rank_of(stage, 0) : 0);
    return all;
  }

  /// Whether `other` has come to the reduction that `rank` has come to.
  bool is_with(int rank, int other) const {
    if (finished(other) || current(other).kind != current(rank).kind) return false;
    if (current(rank).kind == all_reduce) return current(other).chunk == current(rank).chunk;
    if (current(rank).kind != tied_reduce || other == rank) return true;
    require(holds_tied_table(other), other, current(other), "it has no copy");
    require(current(other).peer == rank, rank, current(rank), "the other copy is at another rank");
    return true;
  }

  bool holds_tied_table(int rank) const {
    const int stage = schedule_.virtual_stage(rank, current(rank).chunk);
    return stage == 0 || stage == schedule_.virtual_stages() - 1;
  }

  const Schedule& schedule_;
  std::vector<std::size_t> next_;
  std::vector<int> steps_, synchronised_;  ///< of each rank; the latter with the stage before
  std::map<Channel, OnTheWay> on_the_way_;
  std::map<Direction, std::deque<ActionKind>> sent_;
};

}  // namespace

Verification verify(const Schedule& schedule) {
  Verification out;
  try {
    const int ranks = schedule.placement().ranks();
    if (static_cast<int>(schedule.ranks.size()) != ranks) throw Fault{"one list per rank is needed"};
    for (int rank = 0; rank < ranks; ++rank) {
      out.slots.push_back(check_rank(schedule, rank));
    }
    Simulation(schedule).run();
  } catch (const Fault& fault) {
    out.problem = fault.text;
  }
  return out;
}

Verification prove(const Schedule& schedule) {
  Verification verification = verify(schedule);
  ensure(verification.proven(), verification.problem.c_str());
  return verification;
}

Schedule proven(Schedule schedule) {
  prove(schedule);
  return schedule;
}

}  // namespace strait::pipeline
