#include "simulated_wires.hpp"

#include "strait/core/error.hpp"

#include <algorithm>

namespace strait::pipeline::simulator_detail {
namespace {

using enum ActionKind;

constexpr int channels_of_boundary = 4;  // forward, backward, sync up, sync down

// As many as a boundary's mailboxes have.
constexpr int message_buffers = 2;
constexpr int sync_buffers = 1;

}  // namespace

Wires::Wires(const Schedule& schedule, const SimulationCosts& costs, const Machine& machine)
    : machine_(machine), tied_(channels_of_boundary * (schedule.virtual_stages() - 1)) {
  const int stages = schedule.virtual_stages();
  ensure(static_cast<int>(costs.stages.size()) == stages &&
             static_cast<int>(costs.boundaries.size()) == stages - 1,
         "every virtual stage and boundary has its costs");
  channels.resize(tied_ + 2);
  for (int p = 0; p + 1 < stages; ++p) {
    const BoundaryCosts& boundary = costs.boundaries[p];
    const int up = p % schedule.stages, down = (p + 1) % schedule.stages;
    const int first = channels_of_boundary * p;
    open(first, up, down, boundary.bytes_forward, message_buffers);
    open(first + 1, down, up, boundary.bytes_backward, message_buffers);
    open(first + 2, down, up, boundary.bytes_sync_up, sync_buffers);
    open(first + 3, up, down, boundary.bytes_sync_down, sync_buffers);
  }
  if (schedule.stages > 1) {
    const int last = (stages - 1) % schedule.stages;
    open(tied_, 0, last, costs.bytes_tied, 1);
    open(tied_ + 1, last, 0, costs.bytes_tied, 1);
  }
}

void Wires::open(int channel, int from, int to, double bytes, int buffers) {
  channels[channel] = {.from = from, .to = to, .bytes = bytes, .out_free = buffers, .in_free = buffers};
  if (bytes <= 0.0) return;
  const auto wire = wire_of_.emplace(std::minmax({from, to}), static_cast<int>(wires.size()));
  if (wire.second) {
    const MachineLevel& level = machine_.link(from, to);
    wires.push_back(
        {.seconds_per_byte = 8.0 / level.bandwidth, .latency = level.latency, .duplex = level.duplex});
  }
  channels[channel].wire = wire.first->second;
  channels[channel].way = from < to ? 0 : 1;
  Way& way = wires[channels[channel].wire].ways[channels[channel].way];
  if (way.link >= 0) return;
  way.link = static_cast<int>(links.size());
  links.push_back({.from = from, .to = to});
}

int Wires::of(const Action& action) const {
  const int first = channels_of_boundary * action.boundary;
  switch (action.kind) {
    case send_forward:
    case receive_forward:
      return first;
    case send_backward:
    case receive_backward:
      return first + 1;
    case codec_sync_up:
      return first + 2;
    case codec_sync_down:
      return first + 3;
    default:
      ensure(false, "an action that exchanges a message");
  }
  return -1;
}

}  // namespace strait::pipeline::simulator_detail
