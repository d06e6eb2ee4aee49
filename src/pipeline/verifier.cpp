#include "strait/pipeline/verifier.hpp"

#include "fault.hpp"
#include "rank_check.hpp"

#include <deque>
#include <map>
#include <tuple>

namespace strait::pipeline {
namespace {

using enum ActionKind;
using namespace verifier_detail;

/// Runs all lists against each other. A send takes the one buffer of its channel and gives it back when the
/// receiver comes to the receive; a reduction waits for its participants.
class Simulation {
 public:
  explicit Simulation(const Schedule& schedule) : schedule_(schedule), next_(schedule.ranks.size(), 0) {}

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
  };
  using Channel = std::tuple<int, int>;  // what travels, boundary

  int ranks() const { return static_cast<int>(next_.size()); }
  bool finished(int rank) const { return next_[rank] == schedule_.ranks[rank].size(); }
  const Action& current(int rank) const { return schedule_.ranks[rank][next_[rank]]; }

  static bool is_reduction(const Action& action) {
    return action.kind == tied_reduce || action.kind == norm_reduce || action.kind == loss_reduce;
  }

  bool try_action(int rank) {
    const Action& action = current(rank);
    if (is_reduction(action)) return false;
    const int stage = schedule_.virtual_stage(rank, action.chunk);
    const bool sync = action.kind == codec_sync_up || action.kind == codec_sync_down;
    if (is_send(action.kind) || (sync && sends_sync(action, stage))) return send(rank, action);
    if (is_receive(action.kind) || sync) return receive(rank, action, stage);
    ++next_[rank];
    return true;
  }

  static Channel channel(const Action& action) {
    switch (action.kind) {
      case send_forward:
      case receive_forward:
        return {0, action.boundary};
      case send_backward:
      case receive_backward:
        return {1, action.boundary};
      case codec_sync_up:
        return {2, action.boundary};
      default:
        return {3, action.boundary};
    }
  }

  /// Messages and synchronisation of one direction: what they are decoded with changes in the order of
  /// sending.
  static Channel direction(const Action& action) {
    const bool down =
        action.kind == send_forward || action.kind == receive_forward || action.kind == codec_sync_down;
    return {down ? 0 : 1, action.boundary};
  }

  bool send(int rank, const Action& action) {
    const bool downstream = action.kind == send_forward || action.kind == codec_sync_down;
    const int stage = schedule_.virtual_stage(rank, action.chunk);
    require(action.boundary == (downstream ? stage : stage - 1), rank, action,
            "not a boundary of this stage");
    require(action.peer == schedule_.rank_of(downstream ? stage + 1 : stage - 1), rank, action,
            "the other side is another rank");
    if (!on_the_way_.emplace(channel(action), OnTheWay{action, rank}).second) return false;
    sent_[direction(action)].push_back(action.kind);
    ++next_[rank];
    return true;
  }

  bool receive(int rank, const Action& action, int stage) {
    const bool from_upstream = action.kind == receive_forward || action.kind == codec_sync_down;
    require(action.boundary == (from_upstream ? stage - 1 : stage), rank, action,
            "not a boundary of this stage");
    const auto found = on_the_way_.find(channel(action));
    if (found == on_the_way_.end()) return false;
    const OnTheWay& message = found->second;
    require(message.from == action.peer && message.action.peer == rank, rank, action,
            "the message comes from another rank");
    require(message.action.micro_batch == action.micro_batch, rank, action,
            "another micro-batch was sent first");
    require(message.action.version == action.version, rank, action, "the sender used other weights");
    std::deque<ActionKind>& sent = sent_[direction(action)];
    require(sent.front() == message.action.kind, rank, action, "a message of another kind was sent first");
    sent.pop_front();
    on_the_way_.erase(found);
    ++next_[rank];
    return true;
  }

  /// Lets the ranks that wait in a reduction pass once all its participants are there.
  bool meet() {
    bool moved = false;
    for (const ActionKind kind : {tied_reduce, norm_reduce, loss_reduce}) {
      std::vector<int> here;
      std::size_t wanted = kind == tied_reduce ? 2 : next_.size();
      for (int rank = 0; rank < ranks(); ++rank) {
        if (!finished(rank) && current(rank).kind == kind) here.push_back(rank);
      }
      if (here.size() != wanted) continue;
      if (kind == tied_reduce) {
        for (const int rank : here) require(holds_tied_table(rank), rank, current(rank), "it has no copy");
        require(current(here[0]).peer == here[1] && current(here[1]).peer == here[0], here[0],
                current(here[0]), "the other copy is at another rank");
      }
      for (const int rank : here) ++next_[rank];
      moved = true;
    }
    return moved;
  }

  bool holds_tied_table(int rank) const {
    const int stage = schedule_.virtual_stage(rank, current(rank).chunk);
    return stage == 0 || stage == schedule_.virtual_stages() - 1;
  }

  const Schedule& schedule_;
  std::vector<std::size_t> next_;
  std::map<Channel, OnTheWay> on_the_way_;
  std::map<Channel, std::deque<ActionKind>> sent_;
};

}  // namespace

Verification verify(const Schedule& schedule) {
  Verification out;
  try {
    if (static_cast<int>(schedule.ranks.size()) != schedule.stages)
      throw Fault{"one list per rank is needed"};
    for (int rank = 0; rank < schedule.stages; ++rank) {
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
