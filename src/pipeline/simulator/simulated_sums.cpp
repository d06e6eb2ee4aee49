#include "simulated_sums.hpp"

#include <algorithm>

namespace strait::pipeline::simulator_detail {

SumPrice sum_price(const Machine& machine, int first, int last) {
  SumPrice price;
  const double ranks = last - first;
  int size = 1;  // ranks of a group of the level below
  for (const MachineLevel& level : machine.levels) {
    const int whole = size * level.components;
    double busiest = 0.0;  // pairs of a rank in a group and one out of it, of those that meet here
    for (int begin = first, end; begin < last; begin = end) {
      end = std::min(last, (begin / size + 1) * size);
      const int group = begin / whole * whole;
      const int here = end - begin, all = std::min(last, group + whole) - std::max(first, group);
      busiest = std::max(busiest, static_cast<double>(here) * (all - here));
    }
    size = whole;
    if (busiest == 0.0) continue;
    // Each of two ranks owns an equal part: it gets the other's numbers for it and sends back their sum.
    const double share = 2.0 * busiest / ranks, ways = level.duplex ? 1.0 : 2.0;
    price.seconds_per_byte = std::max(price.seconds_per_byte, ways * share * 8.0 / level.bandwidth);
    price.latency = std::max(price.latency, 2.0 * level.latency);
  }
  return price;
}

Sums::Sums(const Schedule& schedule, const SimulationCosts& costs, const Machine& machine, Events& events)
    : stages_(schedule.stages), chunks_(schedule.chunks), events_(events) {
  const Placement placement = schedule.placement();
  for (int stage = 0; stage < stages_; ++stage) {
    const int first = placement.ranks_before(stage), count = placement.replicas_of(stage);
    ports_.push_back({.price = sum_price(machine, first, first + count),
                      .first_link = static_cast<int>(links_.size()),
                      .ranks = count});
    stage_of_.insert(stage_of_.end(), count, stage);
    for (int rank = first; count > 1 && rank < first + count; ++rank)
      links_.push_back({.from = rank, .to = -1});
  }
  members_.resize(stage_of_.size() * chunks_);
  for (int stage = 0; stage < schedule.virtual_stages(); ++stage) {
    Group group{.parts = costs.stages[stage].sums, .given = {}};
    if (group.parts.empty()) group.parts.emplace_back();  // the replicas wait for each other all the same
    group.given.assign(group.parts.size(), 0);
    most_parts_ = std::max(most_parts_, static_cast<int>(group.parts.size()));
    groups_.push_back(group);
  }
  for (std::size_t rank = 0; rank < stage_of_.size(); ++rank) {
    for (int chunk = 0; chunk < chunks_; ++chunk) {
      member(rank, chunk).given.assign(group(rank, chunk).parts.size(), false);
    }
  }
}

void Sums::compute(int rank, const Action& action, double seconds, double slowness) {
  const bool whole = action.kind == ActionKind::backward;
  if (!whole && action.kind != ActionKind::backward_weight) return;
  if (!member(rank, action.chunk).begun) return;
  member(rank, action.chunk).begun = false;
  const std::vector<ReplicaPart>& parts = group(rank, action.chunk).parts;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const auto& left = whole ? parts[i].left_of_backward : parts[i].left_of_weights;
    if (!left) continue;
    events_.plan(std::max(0.0, seconds - *left * slowness), EventKind::part_given,
                 (rank * chunks_ + action.chunk) * most_parts_ + static_cast<int>(i));
  }
}

void Sums::given(int subject) {
  const int of = subject / most_parts_;
  give(of / chunks_, of % chunks_, subject % most_parts_);
}

/// The last replica that gives a part lets it cross, behind those that went before.
void Sums::give(int rank, int chunk, int part) {
  if (member(rank, chunk).given[part]) return;
  member(rank, chunk).given[part] = true;
  Group& sum = group(rank, chunk);
  Port& port = ports_[stage_of_[rank]];
  if (++sum.given[part] < port.ranks) return;
  const double bytes = sum.parts[part].bytes, seconds = bytes * port.price.seconds_per_byte;
  port.free_at = std::max(port.free_at, events_.now()) + seconds;
  for (int i = port.first_link; i < port.first_link + port.ranks; ++i) {
    links_[i].bytes += 2.0 * (port.ranks - 1) / port.ranks * bytes;
    links_[i].seconds += seconds;
  }
  const int stage = chunk * stages_ + stage_of_[rank];
  events_.plan(port.free_at - events_.now() + port.price.latency, EventKind::part_summed,
               stage * most_parts_ + part);
}

bool Sums::all_reduce(int rank, int chunk) {
  Group& sum = group(rank, chunk);
  if (ports_[stage_of_[rank]].ranks == 1) return true;
  Member& own = member(rank, chunk);
  if (!own.joined) {
    own.joined = true;
    ++own.round;  // which may be over: a replica may have given all its parts before
    for (std::size_t part = 0; part < sum.parts.size(); ++part) give(rank, chunk, static_cast<int>(part));
  }
  return sum.rounds >= own.round;
}

void Sums::complete(int rank, int chunk) {
  Member& own = member(rank, chunk);
  own.joined = false;
  own.given.assign(own.given.size(), false);
}

std::optional<int> Sums::summed(int subject) {
  const int stage = subject / most_parts_;
  Group& sum = groups_[stage];
  if (++sum.summed < static_cast<int>(sum.parts.size())) return std::nullopt;
  sum.summed = 0;
  sum.given.assign(sum.given.size(), 0);
  ++sum.rounds;
  return stage % stages_;
}

}  // namespace strait::pipeline::simulator_detail
