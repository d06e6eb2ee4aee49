#include "simulated_traffic.hpp"

#include <algorithm>

namespace strait::pipeline::simulator_detail {
namespace {

/// Whether an entry of a list sends another rank what the entry before it has sent.
bool sends_again(const ActionList& list, std::size_t index) {
  if (index == 0) return false;
  const Action &action = list[index], &before = list[index - 1];
  return action.micro_batch < 0 && action.kind == before.kind && action.boundary == before.boundary &&
         action.version == before.version && action.peer != before.peer;
}

/// Seconds of a byte on either way.
double slowness(const Wire& wire) {
  const bool both = wire.ways[0].carries >= 0 && wire.ways[1].carries >= 0;
  return wire.seconds_per_byte * (both && !wire.duplex ? 2.0 : 1.0);
}

}  // namespace

bool Traffic::may_begin(const ActionList& list, int rank, std::size_t index) {
  const int found = wires_.of(rank, index);
  if (found < 0) return true;
  const Channel& message = channel(found);
  if (message.from != rank) return message.arrived > 0;
  Outbox& outbox = wires_.outboxes[message.outbox];
  if (!outbox.free() && !sends_again(list, index)) return false;
  ++outbox.lent;
  return true;
}

void Traffic::complete(int rank, std::size_t index) {
  const int found = wires_.of(rank, index);
  if (found < 0) return;
  if (channel(found).from == rank) {
    post(found);
  } else {
    read(found);
  }
}

void Traffic::send_tied(int rank, std::size_t index) {
  const int mine = wires_.of(rank, index);
  if (mine < 0) return;
  ++wires_.outboxes[channel(mine).outbox].lent;
  post(mine);
}

bool Traffic::tied_crossed(int rank, std::size_t index) const {
  const int mine = wires_.of(rank, index);
  if (mine < 0) return true;
  const Channel& sent = wires_.channels[mine];
  return wires_.channels[sent.back].arrived > 0 && wires_.outboxes[sent.outbox].free();
}

void Traffic::complete_tied(int rank, std::size_t index) {
  const int mine = wires_.of(rank, index);
  if (mine >= 0) read(channel(mine).back);
}

void Traffic::post(int index) {
  ++channel(index).posted;
  offer(index);
}

/// The buffer of the channel's oldest message is free for what its inbox waits for next.
void Traffic::read(int index) {
  --channel(index).arrived;
  const int next = wires_.wait(wires_.inboxes[channel(index).inbox]);
  if (next >= 0) offer(next);
}

/// Queues the channel's oldest message at its wire once a buffer waits for it at the other end.
void Traffic::offer(int index) {
  Channel& message = channel(index);
  if (!message.ready()) return;
  --message.posted;
  --message.waited;
  Wire& wire = wires_.wires[message.wire];
  Way& way = wire.ways[message.way];
  way.next.push_back(index);
  if (way.carries < 0) share_anew(wire, way, [&] { carry(way); });
}

/// Puts the next message on its way.
void Traffic::carry(Way& way) {
  way.carries = way.next.front();
  way.next.pop_front();
  way.bytes_left = channel(way.carries).bytes;
  way.since = events_.now();
}

/// Lets `change` start or end a message on one way, and plans anew when those that it concerns will have
/// left.
template <class Change>
void Traffic::share_anew(Wire& wire, Way& changed, Change change) {
  const auto concerned = [&](const Way& way) {
    return way.carries >= 0 && (!wire.duplex || &way == &changed);
  };
  const double now = events_.now(), before = slowness(wire);
  for (Way& way : wire.ways) {
    if (!concerned(way)) continue;
    if (before > 0.0) way.bytes_left -= std::min(way.bytes_left, (now - way.since) / before);
    way.since = now;
  }
  change();
  const double after = slowness(wire);
  for (Way& way : wire.ways) {
    if (!concerned(way)) continue;
    way.event = events_.plan(way.bytes_left * after, EventKind::message_left, way.carries);
  }
}

bool Traffic::is_outdated(const Event& event) const {
  if (event.kind != EventKind::message_left) return false;
  const Channel& message = wires_.channels[event.subject];
  return wires_.wires[message.wire].ways[message.way].event != event.number;
}

int Traffic::left(int index) {
  const Channel& message = channel(index);
  Wire& wire = wires_.wires[message.wire];
  Way& way = wire.ways[message.way];
  SimulatedLink& link = wires_.links[way.link];
  link.bytes += message.bytes;
  link.seconds += message.bytes * wire.seconds_per_byte;
  --wires_.outboxes[message.outbox].lent;
  events_.plan(wire.latency, EventKind::message_arrived, index);
  share_anew(wire, way, [&] {
    way.carries = -1;
    if (!way.next.empty()) carry(way);
  });
  return message.from;
}

int Traffic::arrived(int index) {
  ++channel(index).arrived;
  return channel(index).to;
}

}  // namespace strait::pipeline::simulator_detail
