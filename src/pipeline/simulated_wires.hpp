#pragma once
// The channels and links of a simulated machine, without time: who may send, what is next on a link.

#include "strait/pipeline/simulator.hpp"

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <utility>
#include <vector>

namespace strait::pipeline::simulator_detail {

/// Messages of one kind from one virtual stage to the next or back, all of one size and in order.
struct Channel {
  int from = -1;  ///< ranks
  int to = -1;
  double bytes = 0.0;
  int wire = -1;
  int way = 0;       ///< of the wire
  int out_free = 0;  ///< buffers at the sender
  int in_free = 0;   ///< buffers at the receiver that wait for a message
  int posted = 0;    ///< messages in the sender's buffers that have not left
  int arrived = 0;   ///< messages in the receiver's buffers

  bool used() const { return bytes > 0.0; }
  bool ready() const { return posted > 0 && in_free > 0; }
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

/// What joins two ranks.
struct Wire {
  double seconds_per_byte = 0.0;
  double latency = 0.0;
  bool duplex = true;            ///< otherwise the two ways share the bandwidth evenly while both are in use
  std::array<Way, 2> ways = {};  ///< from the lower rank, and to it
};

class Wires {
 public:
  Wires(const Schedule& schedule, const SimulationCosts& costs, const Machine& machine);

  /// The channel of a send, a receive, codec_sync or a rank's own part of tied_reduce.
  int of(const Action& action) const;
  /// The part of tied_reduce that comes back.
  int tied_from(int rank) const { return tied_ + (channels[tied_].from == rank ? 1 : 0); }
  int tied_to(int rank) const { return tied_ + (channels[tied_].from == rank ? 0 : 1); }

  std::vector<Channel> channels;
  std::vector<Wire> wires;
  std::vector<SimulatedLink> links;

 private:
  void open(int channel, int from, int to, double bytes, int buffers);

  const Machine& machine_;
  int tied_;
  std::map<std::pair<int, int>, int> wire_of_;
};

}  // namespace strait::pipeline::simulator_detail
