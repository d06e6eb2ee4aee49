#pragma once
// The channels and links of a simulated machine, without time: who may send, what is next on a link.

#include "strait/pipeline/simulator.hpp"

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <tuple>
#include <unordered_map>
#include <vector>

namespace strait::pipeline::simulator_detail {

/// Buffers of one kind of message at a rank that sends it.
struct Outbox {
  int buffers = 0;
  int lent = 0;  ///< messages that have not left; those of one synchronisation share a buffer

  bool free() const { return lent < buffers; }
};

/// Buffers of one kind of message at a rank that receives it, which wait for messages in the order of its
/// list.
struct Inbox {
  int buffers = 0;
  std::vector<int> order;  ///< channels of all its receives
  std::size_t next = 0;    ///< the first of them without a buffer
};

/// Messages of one kind from one rank to another, all of one size and in order.
struct Channel {
  int from = -1;  ///< ranks
  int to = -1;
  double bytes = 0.0;
  int wire = -1;
  int way = 0;      ///< of the wire
  int outbox = -1;  ///< of the sender
  int inbox = -1;   ///< of the receiver
  int back = -1;    ///< of tied gradients: the channel of the other copy's
  int waited = 0;   ///< buffers at the receiver that wait for a message
  int posted = 0;   ///< messages in the sender's buffers that have not left
  int arrived = 0;  ///< messages in the receiver's buffers

  bool ready() const { return posted > 0 && waited > 0; }
};

/// One direction of a wire, with one message at a time on it.
struct Way {
  int link = -1;            ///< of Simulation::links
  int carries = -1;         ///< channel
  double bytes_left = 0.0;  ///< of its message at the time `since`
  double since = 0.0;
  std::int64_t event = -1;    ///< number of the event at which it has left
  std::deque<int> next = {};  ///< channels whose oldest message waits
};

/// What joins two ranks, or groups of them.
struct Wire {
  double seconds_per_byte = 0.0;
  double latency = 0.0;
  bool duplex = true;            ///< otherwise the two ways share the bandwidth evenly while both are in use
  std::array<Way, 2> ways = {};  ///< from the lower rank, and to it
};

class Wires {
 public:
  Wires(const Schedule& schedule, const SimulationCosts& costs, const Machine& machine);

  /// The channel of entry `index` of a rank's list, of tied_reduce the rank's own part; -1 where no byte
  /// crosses.
  int of(int rank, std::size_t index) const { return of_action_[rank][index]; }

  /// The next message that the inbox waits for gets a buffer. Returns its channel; -1: there is none.
  int wait(Inbox& inbox);

  std::vector<Channel> channels;
  std::vector<Outbox> outboxes;
  std::vector<Inbox> inboxes;
  std::vector<Wire> wires;
  std::vector<SimulatedLink> links;

 private:
  enum Stream { forward, backward, sync_up, sync_down, tied, streams };
  static Stream stream_of(ActionKind kind);

  double bytes(Stream stream, int boundary) const;
  int channel(Stream stream, int boundary, int from, int to);
  int box(Stream stream, int boundary, int rank, bool out);
  int wire(int lower, int higher);

  const SimulationCosts& costs_;
  const Machine& machine_;
  const Placement placement_;
  std::vector<std::vector<int>> of_action_;
  std::unordered_map<std::uint64_t, int> channel_of_, outbox_of_, inbox_of_;
  std::map<std::tuple<int, int, int, bool, int>, int> wire_of_;
};

}  // namespace strait::pipeline::simulator_detail
