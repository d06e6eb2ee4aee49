#include "schedule_writer.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <utility>

namespace strait::pipeline {
namespace {

using enum ActionKind;

void assign_slots(ActionList& list) {
  std::map<std::pair<int, int>, std::size_t> last_use;
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (list[i].micro_batch >= 0) last_use[{list[i].chunk, list[i].micro_batch}] = i;
  }
  std::map<std::pair<int, int>, int> slot_of;
  std::map<int, std::set<int>> taken;
  for (std::size_t i = 0; i < list.size(); ++i) {
    Action& action = list[i];
    if (action.micro_batch < 0) continue;
    const std::pair key(action.chunk, action.micro_batch);
    std::set<int>& in_use = taken[action.chunk];
    if (!slot_of.count(key)) {
      int slot = 0;
      while (in_use.count(slot)) ++slot;
      in_use.insert(slot);
      slot_of[key] = slot;
    }
    action.slot = slot_of[key];
    if (last_use[key] == i) in_use.erase(action.slot);
  }
}

}  // namespace

void add_synchronisation(ActionList& list, const Placement& placement, int rank, int other,
                         const Action& action) {
  const int own = placement.replica_of(rank), others = placement.replicas_of(other);
  const auto add = [&](int replica) {
    list.push_back(action);
    list.back().peer = placement.rank_of(other, replica);
  };
  if (sends_sync(action, placement.virtual_stage(rank, action.chunk))) {
    const int own_replicas = placement.replicas_of(placement.stage_of(rank));
    for (int replica = own; replica < others; replica += own_replicas) add(replica);
  } else {
    add(own % others);
  }
}

void ScheduleWriter::compute(ActionKind kind, int micro_batch, int chunk) {
  list_.push_back({.kind = kind, .micro_batch = global(micro_batch), .chunk = chunk});
}

int ScheduleWriter::warm_up() const {
  const int after_the_first = placement_.ranks() - 1 - placement_.ranks_before(stage());
  return std::min(after_the_first / replicas(), micro_batches());
}

void ScheduleWriter::upstream(ActionKind kind, int micro_batch, int chunk) {
  if (is_first(chunk)) return;
  const int before = virtual_stage(chunk) - 1;
  list_.push_back({.kind = kind,
                   .micro_batch = global(micro_batch),
                   .chunk = chunk,
                   .boundary = before,
                   .peer = placement_.rank_for(before, global(micro_batch))});
}

void ScheduleWriter::downstream(ActionKind kind, int micro_batch, int chunk) {
  if (is_last(chunk)) return;
  const int boundary = virtual_stage(chunk);
  list_.push_back({.kind = kind,
                   .micro_batch = global(micro_batch),
                   .chunk = chunk,
                   .boundary = boundary,
                   .peer = placement_.rank_for(boundary + 1, global(micro_batch))});
}

void ScheduleWriter::forward_pass(int micro_batch, int chunk) {
  upstream(receive_forward, micro_batch, chunk);
  compute(forward, micro_batch, chunk);
  downstream(send_forward, micro_batch, chunk);
}

void ScheduleWriter::backward_pass(int micro_batch, int chunk) {
  downstream(receive_backward, micro_batch, chunk);
  compute(backward, micro_batch, chunk);
  upstream(send_backward, micro_batch, chunk);
}

void ScheduleWriter::backward_input_pass(int micro_batch, int chunk) {
  downstream(receive_backward, micro_batch, chunk);
  compute(backward_input, micro_batch, chunk);
  upstream(send_backward, micro_batch, chunk);
}

void ScheduleWriter::backward_weight(int micro_batch, int chunk) {
  compute(ActionKind::backward_weight, micro_batch, chunk);
}

void ScheduleWriter::evaluation_pass(ActionKind head, int micro_batch, int chunk) {
  forward_pass(micro_batch, chunk);
  if (is_last(chunk)) compute(head, micro_batch, chunk);
}

/// Before the last computation that adds to the chunk's gradients.
void ScheduleWriter::begin_all_reduce(int chunk) {
  const auto last = std::find_if(list_.rbegin(), list_.rend(), [&](const Action& action) {
    return action.chunk == chunk && (action.kind == backward || action.kind == ActionKind::backward_weight);
  });
  list_.insert(last == list_.rend() ? list_.begin() : std::prev(last.base()),
               {.kind = ActionKind::begin_all_reduce, .chunk = chunk});
}

void ScheduleWriter::synchronise(ActionKind kind, int chunk, int boundary, int other) {
  add_synchronisation(list_, placement_, rank_, other, {.kind = kind, .chunk = chunk, .boundary = boundary});
}

void ScheduleWriter::finish_step() {
  const auto up = [&](ActionKind kind, int chunk) {
    const int stage = virtual_stage(chunk);
    if (!is_first(chunk)) synchronise(kind, chunk, stage - 1, stage - 1);
  };
  const auto down = [&](ActionKind kind, int chunk) {
    const int stage = virtual_stage(chunk);
    if (!is_last(chunk)) synchronise(kind, chunk, stage, stage + 1);
  };
  if (replicas() > 1) {
    for (int chunk = 0; chunk < chunks(); ++chunk) begin_all_reduce(chunk);
    for (int chunk = chunks() - 1; chunk >= 0; --chunk) {
      list_.push_back({.kind = all_reduce, .chunk = chunk});
    }
  }
  // From the last boundary to the first: a stage hands up what came from below, where the backwards ended
  // earlier.
  for (int chunk = chunks() - 1; chunk >= 0; --chunk) {
    down(codec_sync_up, chunk);
    up(codec_sync_up, chunk);
  }
  if (options_.tied_embeddings && placement_.virtual_stages() > 1) {
    const int last = placement_.virtual_stages() - 1;
    for (int chunk = 0; chunk < chunks(); ++chunk) {
      if (!is_first(chunk) && !is_last(chunk)) continue;
      const int other = is_first(chunk) ? last : 0;
      list_.push_back({.kind = tied_reduce, .chunk = chunk, .peer = placement_.rank_of(other, replica_)});
    }
  }
  list_.push_back({.kind = norm_reduce});
  list_.push_back({.kind = step});
  for (int chunk = 0; chunk < chunks(); ++chunk) down(codec_sync_down, chunk);
  for (int chunk = 0; chunk < chunks(); ++chunk) up(codec_sync_down, chunk);
}

ActionList ScheduleWriter::take() {
  assign_slots(list_);
  return std::move(list_);
}

}  // namespace strait::pipeline
