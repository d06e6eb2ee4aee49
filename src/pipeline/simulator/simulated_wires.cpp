#include "simulated_wires.hpp"

#include "strait/core/error.hpp"

#include <algorithm>

namespace strait::pipeline::simulator_detail {
namespace {

using enum ActionKind;

// As many as a boundary's mailboxes have.
constexpr int message_buffers = 2;
constexpr int sync_buffers = 1;

/// A key for each combination, of numbers below 2^20 but for the first.
std::uint64_t key(int stream, int boundary, int rank, int other = 0) {
  constexpr int bits = 20;
  std::uint64_t out = static_cast<std::uint64_t>(stream);
  for (const int number : {boundary + 1, rank, other})
    out = (out << bits) | static_cast<std::uint64_t>(number);
  return out;
}

/// Whether a rank sends the message of an action; else it receives it.
bool sends(const Schedule& schedule, int rank, const Action& action) {
  if (is_send(action.kind) || is_receive(action.kind)) return is_send(action.kind);
  return sends_sync(action, schedule.virtual_stage(rank, action.chunk));
}

/// Groups of `size` ranks that hold ranks of a stage.
int groups_of(const Placement& placement, int stage, int size) {
  const int first = placement.ranks_before(stage), last = placement.ranks_before(stage + 1) - 1;
  return last / size - first / size + 1;
}

}  // namespace

Wires::Wires(const Schedule& schedule, const SimulationCosts& costs, const Machine& machine)
    : costs_(costs), machine_(machine), placement_(schedule.placement()), of_action_(schedule.ranks.size()) {
  const int stages = schedule.virtual_stages();
  ensure(static_cast<int>(costs.stages.size()) == stages &&
             static_cast<int>(costs.boundaries.size()) == stages - 1,
         "every virtual stage and boundary has its costs");
  for (int rank = 0; rank < static_cast<int>(schedule.ranks.size()); ++rank) {
    of_action_[rank].reserve(schedule.ranks[rank].size());
    for (const Action& action : schedule.ranks[rank]) {
      const Stream stream = stream_of(action.kind);
      const bool crosses = stream != streams && bytes(stream, action.boundary) > 0.0;
      int found = -1, received = -1;
      if (crosses && stream == tied) {
        found = channel(stream, action.boundary, rank, action.peer);
        received = channel(stream, action.boundary, action.peer, rank);
        channels[found].back = received;
      } else if (crosses && sends(schedule, rank, action)) {
        found = channel(stream, action.boundary, rank, action.peer);
      } else if (crosses) {
        found = received = channel(stream, action.boundary, action.peer, rank);
      }
      of_action_[rank].push_back(found);
      if (received >= 0) inboxes[channels[received].inbox].order.push_back(received);
    }
  }
  for (Inbox& inbox : inboxes) {
    for (int i = 0; i < inbox.buffers; ++i) wait(inbox);
  }
}

Wires::Stream Wires::stream_of(ActionKind kind) {
  switch (kind) {
    case send_forward:
    case receive_forward:
      return forward;
    case send_backward:
    case receive_backward:
      return backward;
    case codec_sync_up:
      return sync_up;
    case codec_sync_down:
      return sync_down;
    case tied_reduce:
      return tied;
    default:
      return streams;
  }
}

double Wires::bytes(Stream stream, int boundary) const {
  if (stream == tied) return costs_.bytes_tied;
  const BoundaryCosts& costs = costs_.boundaries[boundary];
  switch (stream) {
    case forward:
      return costs.bytes_forward;
    case backward:
      return costs.bytes_backward;
    case sync_up:
      return costs.bytes_sync_up;
    default:
      return costs.bytes_sync_down;
  }
}

int Wires::channel(Stream stream, int boundary, int from, int to) {
  const auto found = channel_of_.emplace(key(stream, boundary, from, to), static_cast<int>(channels.size()));
  if (!found.second) return found.first->second;
  Channel channel{.from = from,
                  .to = to,
                  .bytes = bytes(stream, boundary),
                  .wire = wire(std::min(from, to), std::max(from, to)),
                  .way = from < to ? 0 : 1,
                  .outbox = box(stream, boundary, from, true),
                  .inbox = box(stream, boundary, to, false)};
  Way& way = wires[channel.wire].ways[channel.way];
  if (way.link < 0) {
    way.link = static_cast<int>(links.size());
    links.push_back({.from = from, .to = to});
  }
  channels.push_back(channel);
  return found.first->second;
}

int Wires::box(Stream stream, int boundary, int rank, bool out) {
  const std::size_t boxes = out ? outboxes.size() : inboxes.size();
  const auto found = (out ? outbox_of_ : inbox_of_).emplace(key(stream, boundary, rank), boxes);
  const int buffers = stream == forward || stream == backward ? message_buffers : sync_buffers;
  if (found.second && out) outboxes.push_back({.buffers = buffers});
  if (found.second && !out) inboxes.push_back({.buffers = buffers, .order = {}});
  return found.first->second;
}

/// Two stages have as many links as the one with fewer ranks has of them, or, where they meet above the
/// lowest level, of groups of the level below.
int Wires::wire(int lower, int higher) {
  const MachineLevel& level = machine_.link(lower, higher);
  const int number = static_cast<int>(&level - machine_.levels.data());
  int size = 1;
  for (int k = 0; k < number; ++k) size *= machine_.levels[k].components;
  const int first = placement_.stage_of(lower), second = placement_.stage_of(higher);
  const bool at_second = groups_of(placement_, second, size) <= groups_of(placement_, first, size);
  const auto found = wire_of_.emplace(
      std::tuple(first, second, number, at_second, (at_second ? higher : lower) / size), wires.size());
  if (found.second) {
    wires.push_back(
        {.seconds_per_byte = 8.0 / level.bandwidth, .latency = level.latency, .duplex = level.duplex});
  }
  return found.first->second;
}

int Wires::wait(Inbox& inbox) {
  if (inbox.next == inbox.order.size()) return -1;
  const int channel = inbox.order[inbox.next++];
  ++channels[channel].waited;
  return channel;
}

}  // namespace strait::pipeline::simulator_detail
