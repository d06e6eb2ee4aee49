#include "schedule_writer.hpp"

#include <map>
#include <set>
#include <utility>

namespace strait::pipeline {
namespace {

using enum ActionKind;

constexpr int none = -1;  // micro-batch of a message of the whole step

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

void ScheduleWriter::compute(ActionKind kind, int micro_batch, int chunk) {
  list_.push_back({.kind = kind, .micro_batch = micro_batch, .chunk = chunk});
}

void ScheduleWriter::upstream(ActionKind kind, int micro_batch, int chunk) {
  if (is_first(chunk)) return;
  list_.push_back({.kind = kind,
                   .micro_batch = micro_batch,
                   .chunk = chunk,
                   .boundary = stage(chunk) - 1,
                   .peer = shape_.rank_of(stage(chunk) - 1)});
}

void ScheduleWriter::downstream(ActionKind kind, int micro_batch, int chunk) {
  if (is_last(chunk)) return;
  list_.push_back({.kind = kind,
                   .micro_batch = micro_batch,
                   .chunk = chunk,
                   .boundary = stage(chunk),
                   .peer = shape_.rank_of(stage(chunk) + 1)});
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

void ScheduleWriter::finish_step() {
  // From the last boundary to the first: a stage hands up what came from below, where the backwards ended
  // earlier.
  for (int chunk = chunks() - 1; chunk >= 0; --chunk) {
    downstream(codec_sync_up, none, chunk);
    upstream(codec_sync_up, none, chunk);
  }
  if (options_.tied_embeddings && shape_.virtual_stages() > 1) {
    const int last = shape_.virtual_stages() - 1;
    for (int chunk = 0; chunk < chunks(); ++chunk) {
      if (!is_first(chunk) && !is_last(chunk)) continue;
      list_.push_back(
          {.kind = tied_reduce, .chunk = chunk, .peer = shape_.rank_of(is_first(chunk) ? last : 0)});
    }
  }
  list_.push_back({.kind = norm_reduce});
  list_.push_back({.kind = step});
  for (int chunk = 0; chunk < chunks(); ++chunk) downstream(codec_sync_down, none, chunk);
  for (int chunk = 0; chunk < chunks(); ++chunk) upstream(codec_sync_down, none, chunk);
}

ActionList ScheduleWriter::take() {
  assign_slots(list_);
  return std::move(list_);
}

}  // namespace strait::pipeline
