#pragma once
// Messages on their way: a link carries one at a time each way.

#include "simulated_events.hpp"
#include "simulated_wires.hpp"

namespace strait::pipeline::simulator_detail {

class Traffic {
 public:
  Traffic(const Schedule& schedule, const SimulationCosts& costs, const Machine& machine, Events& events)
      : events_(events), wires_(schedule, costs, machine) {}

  /// Whether the message of entry `index` of a rank's list may be sent, which takes its buffer, or is here.
  bool may_begin(const ActionList& list, int rank, std::size_t index);
  /// Sends or has read that message.
  void complete(int rank, std::size_t index);
  /// Sends the rank's tied gradients; the first step of their exchange.
  void send_tied(int rank, std::size_t index);
  /// True once both copies' gradients have crossed.
  bool tied_crossed(int rank, std::size_t index) const;
  void complete_tied(int rank, std::size_t index);

  /// Whether the speed of the message has changed since.
  bool is_outdated(const Event& event) const;
  /// Both return the rank that may go on.
  int left(int channel);
  int arrived(int channel);

  std::vector<SimulatedLink> take_links() { return std::move(wires_.links); }

 private:
  Channel& channel(int index) { return wires_.channels[index]; }
  void post(int index);
  void offer(int index);
  void read(int index);
  void carry(Way& way);
  template <class Change>
  void share_anew(Wire& wire, Way& changed, Change change);

  Events& events_;
  Wires wires_;
};

}  // namespace strait::pipeline::simulator_detail
