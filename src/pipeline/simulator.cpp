#include "strait/pipeline/simulator.hpp"

#include "strait/core/error.hpp"

#include "simulated_durations.hpp"
#include "simulated_wires.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <queue>
#include <utility>

namespace strait::pipeline {
namespace {

using enum ActionKind;
using simulator_detail::Channel;
using simulator_detail::Durations;
using simulator_detail::Way;
using simulator_detail::Wire;
using simulator_detail::Wires;

class Engine {
 public:
  Engine(const Schedule& schedule, const SimulationCosts& costs, const Machine& machine, bool keep_actions)
      : schedule_(schedule),
        machine_(machine),
        keep_actions_(keep_actions),
        durations_(schedule, costs, machine),
        wires_(schedule, costs, machine),
        ranks_(schedule.ranks.size()) {
    ensure(machine.ranks() >= schedule.stages, "every rank of a schedule is on the machine");
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
      const Event event = events_.top();
      events_.pop();
      if (is_outdated(event)) continue;
      now_ = event.time;
      switch (event.kind) {
        case Kind::rank_done:
          complete(event.subject);
          advance(event.subject);
          break;
        case Kind::message_left:
          message_left(event.subject);
          break;
        case Kind::message_arrived:
          ++wires_.channels[event.subject].arrived;
          advance(wires_.channels[event.subject].to);
          break;
      }
    }
    for (int rank = 0; rank < ranks(); ++rank) ensure(finished(rank), "a proven schedule comes to its end");
    out_.seconds = now_;
    out_.links = std::move(wires_.links);
    return std::move(out_);
  }

 private:
  enum class Kind { rank_done, message_left, message_arrived };

  struct Event {
    double time;
    std::int64_t number;  ///< in the order in which they were planned
    Kind kind;
    int subject;  ///< rank, or channel

    bool operator>(const Event& other) const {
      return time != other.time ? time > other.time : number > other.number;
    }
  };

  struct Rank {
    std::size_t next = 0;
    bool busy = false;     ///< until its event
    bool entered = false;  ///< the action at hand, at `start`
    bool joined = false;   ///< its part of the reduction at hand is given
    double start = 0.0;
    double waited = 0.0;
  };

  int ranks() const { return static_cast<int>(ranks_.size()); }
  bool finished(int rank) const { return ranks_[rank].next == schedule_.ranks[rank].size(); }
  const Action& current(int rank) const { return schedule_.ranks[rank][ranks_[rank].next]; }

  void plan(double after, Kind kind, int subject) {
    events_.push({.time = now_ + after, .number = planned_++, .kind = kind, .subject = subject});
  }

  /// Runs the rank's actions until one takes time or has to wait.
  void advance(int rank) {
    Rank& state = ranks_[rank];
    while (!state.busy && !finished(rank)) {
      if (!state.entered) {
        state.entered = true;
        state.start = now_;
      }
      const Action& action = current(rank);
      if (action.kind == norm_reduce || action.kind == loss_reduce) return meet(rank);
      if (!may_begin(rank, action)) return;
      state.waited = now_ - state.start;
      const double seconds = durations_.of(rank, action);
      SimulatedRank& totals = out_.ranks[rank];
      (simulator_detail::computes(action.kind) ? totals.compute : totals.codec) += seconds;
      if (seconds > 0.0) {
        state.busy = true;
        return plan(seconds, Kind::rank_done, rank);
      }
      complete(rank);
    }
  }

  bool sends(int rank, const Action& action) const {
    return is_send(action.kind) || sends_sync(action, schedule_.virtual_stage(rank, action.chunk));
  }

  /// Takes the buffer of a message that leaves; false where the action has to wait.
  bool may_begin(int rank, const Action& action) {
    if (action.kind == tied_reduce) return exchange_tied(rank);
    if (!is_message(action.kind)) return true;
    Channel& channel = wires_.channels[wires_.of(action)];
    if (!channel.used()) return true;
    if (!sends(rank, action)) return channel.arrived > 0;
    if (channel.out_free == 0) return false;
    --channel.out_free;
    return true;
  }

  static bool is_message(ActionKind kind) {
    return is_send(kind) || is_receive(kind) || kind == codec_sync_up || kind == codec_sync_down;
  }

  /// True once both copies' gradients have crossed.
  bool exchange_tied(int rank) {
    Channel& mine = wires_.channels[wires_.tied_to(rank)];
    Channel& theirs = wires_.channels[wires_.tied_from(rank)];
    if (!mine.used()) return true;
    if (!ranks_[rank].joined) {
      ranks_[rank].joined = true;
      --mine.out_free;
      post(wires_.tied_to(rank));
    }
    return theirs.arrived > 0 && mine.out_free > 0;
  }

  /// Ends the action at hand, with what others have waited for.
  void complete(int rank) {
    Rank& state = ranks_[rank];
    const Action& action = current(rank);
    if (keep_actions_) {
      out_.ranks[rank].actions.push_back({.start = state.start, .waited = state.waited, .end = now_});
    }
    if (action.kind == step) out_.ranks[rank].updates.push_back(now_);
    state.busy = state.entered = state.joined = false;
    ++state.next;
    if (action.kind == tied_reduce) {
      Channel& theirs = wires_.channels[wires_.tied_from(rank)];
      if (theirs.used()) --theirs.arrived, ++theirs.in_free;
      return;
    }
    if (!is_message(action.kind)) return;
    const int index = wires_.of(action);
    Channel& channel = wires_.channels[index];
    if (!channel.used()) return;
    if (sends(rank, action)) return post(index);
    --channel.arrived;
    ++channel.in_free;
    offer(index);
  }

  void post(int index) {
    ++wires_.channels[index].posted;
    offer(index);
  }

  /// Queues the channel's oldest message at its wire once a buffer waits for it at the other end.
  void offer(int index) {
    Channel& channel = wires_.channels[index];
    if (!channel.ready()) return;
    --channel.posted;
    --channel.in_free;
    Wire& wire = wires_.wires[channel.wire];
    Way& way = wire.ways[channel.way];
    way.next.push_back(index);
    if (way.carries < 0) share_anew(wire, way, [&] { carry(way); });
  }

  /// Puts the next message on its way.
  void carry(Way& way) {
    way.carries = way.next.front();
    way.next.pop_front();
    way.bytes_left = wires_.channels[way.carries].bytes;
    way.since = now_;
  }

  /// Lets `change` start or end a message on one way, and plans anew when those that it concerns will have
  /// left.
  template <class Change>
  void share_anew(Wire& wire, Way& changed, Change change) {
    const auto concerned = [&](const Way& way) {
      return way.carries >= 0 && (!wire.duplex || &way == &changed);
    };
    const double before = slowness(wire);
    for (Way& way : wire.ways) {
      if (!concerned(way)) continue;
      if (before > 0.0) way.bytes_left -= std::min(way.bytes_left, (now_ - way.since) / before);
      way.since = now_;
    }
    change();
    const double after = slowness(wire);
    for (Way& way : wire.ways) {
      if (!concerned(way)) continue;
      way.event = planned_;
      plan(way.bytes_left * after, Kind::message_left, way.carries);
    }
  }

  /// Seconds of a byte on either way.
  static double slowness(const Wire& wire) {
    const bool both = wire.ways[0].carries >= 0 && wire.ways[1].carries >= 0;
    return wire.seconds_per_byte * (both && !wire.duplex ? 2.0 : 1.0);
  }

  /// Whether the speed of the message has changed since.
  bool is_outdated(const Event& event) const {
    if (event.kind != Kind::message_left) return false;
    const Channel& channel = wires_.channels[event.subject];
    return wires_.wires[channel.wire].ways[channel.way].event != event.number;
  }

  void message_left(int index) {
    Channel& channel = wires_.channels[index];
    Wire& wire = wires_.wires[channel.wire];
    Way& way = wire.ways[channel.way];
    SimulatedLink& link = wires_.links[way.link];
    link.bytes += channel.bytes;
    link.seconds += channel.bytes * wire.seconds_per_byte;
    ++channel.out_free;
    plan(wire.latency, Kind::message_arrived, index);
    share_anew(wire, way, [&] {
      way.carries = -1;
      if (!way.next.empty()) carry(way);
    });
    advance(channel.from);
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
      state.waited = now_ + seconds - state.start;
      plan(seconds, Kind::rank_done, each);
    }
  }

  const Schedule& schedule_;
  const Machine& machine_;
  const bool keep_actions_;
  Durations durations_;
  Wires wires_;
  std::vector<Rank> ranks_;
  std::priority_queue<Event, std::vector<Event>, std::greater<Event>> events_;
  std::int64_t planned_ = 0;
  double now_ = 0.0;
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
