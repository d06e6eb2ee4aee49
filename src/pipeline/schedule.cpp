#include "strait/pipeline/schedule.hpp"

#include "strait/core/error.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

namespace strait::pipeline {
namespace {

using enum ActionKind;

/// Writes the list of one rank of a straight pipeline (one chunk per rank).
class Writer {
 public:
  Writer(int rank, int stages) : rank_(rank), stages_(stages) {}

  void forward_pass(int micro_batch) {
    if (!is_first()) message(receive_forward, rank_ - 1, rank_ - 1, micro_batch);
    list_.push_back({.kind = forward, .micro_batch = micro_batch});
    if (!is_last()) message(send_forward, rank_, rank_ + 1, micro_batch);
  }

  void backward_pass(int micro_batch) {
    if (!is_last()) message(receive_backward, rank_, rank_ + 1, micro_batch);
    list_.push_back({.kind = backward, .micro_batch = micro_batch});
    if (!is_first()) message(send_backward, rank_ - 1, rank_ - 1, micro_batch);
  }

  void evaluation_pass(int micro_batch, ActionKind head) {
    forward_pass(micro_batch);
    if (is_last()) list_.push_back({.kind = head, .micro_batch = micro_batch});
  }

  /// What ends a synchronous step. A rank in the middle hands up what came from below, where the backwards
  /// ended earlier.
  void finish_step(const ScheduleOptions& options) {
    if (!is_last()) message(codec_sync_up, rank_, rank_ + 1);
    if (!is_first()) message(codec_sync_up, rank_ - 1, rank_ - 1);
    if (options.tied_embeddings && stages_ > 1 && (is_first() || is_last())) {
      list_.push_back({.kind = tied_reduce, .peer = is_first() ? stages_ - 1 : 0});
    }
    list_.push_back({.kind = norm_reduce});
    list_.push_back({.kind = step});
    if (!is_last()) message(codec_sync_down, rank_, rank_ + 1);
    if (!is_first()) message(codec_sync_down, rank_ - 1, rank_ - 1);
  }

  void finish_evaluation() { list_.push_back({.kind = loss_reduce}); }

  ActionList take() { return std::move(list_); }

 private:
  bool is_first() const { return rank_ == 0; }
  bool is_last() const { return rank_ == stages_ - 1; }

  void message(ActionKind kind, int boundary, int peer, int micro_batch = -1) {
    list_.push_back({.kind = kind, .micro_batch = micro_batch, .boundary = boundary, .peer = peer});
  }

  int rank_;
  int stages_;
  ActionList list_;
};

void gpipe(Writer& writer, int micro_batches) {
  for (int b = 0; b < micro_batches; ++b) writer.forward_pass(b);
  for (int b = 0; b < micro_batches; ++b) writer.backward_pass(b);
}

void one_forward_one_backward(Writer& writer, int rank, int stages, int micro_batches) {
  const int warm_up = std::min(stages - 1 - rank, micro_batches);
  for (int b = 0; b < warm_up; ++b) writer.forward_pass(b);
  for (int b = warm_up; b < micro_batches; ++b) {
    writer.forward_pass(b);
    writer.backward_pass(b - warm_up);
  }
  for (int b = micro_batches - warm_up; b < micro_batches; ++b) writer.backward_pass(b);
}

/// Gives each micro-batch the lowest slot that is free from its first to its last action on a rank's chunk.
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

template <class Write>
Schedule build(std::string_view name, int stages, int micro_batches, Write write) {
  ensure(stages >= 1 && micro_batches >= 1, "a schedule needs a stage and a micro-batch");
  Schedule out{.name = std::string(name), .stages = stages, .micro_batches = micro_batches, .ranks = {}};
  for (int rank = 0; rank < stages; ++rank) {
    Writer writer(rank, stages);
    write(writer, rank);
    out.ranks.push_back(writer.take());
    assign_slots(out.ranks.back());
  }
  return out;
}

}  // namespace

std::string_view name(ActionKind kind) {
  switch (kind) {
    case forward:
      return "forward";
    case evaluate:
      return "evaluate";
    case logits:
      return "logits";
    case backward:
      return "backward";
    case backward_input:
      return "backward_input";
    case backward_weight:
      return "backward_weight";
    case send_forward:
      return "send_forward";
    case receive_forward:
      return "receive_forward";
    case send_backward:
      return "send_backward";
    case receive_backward:
      return "receive_backward";
    case codec_sync_up:
      return "codec_sync_up";
    case codec_sync_down:
      return "codec_sync_down";
    case tied_reduce:
      return "tied_reduce";
    case norm_reduce:
      return "norm_reduce";
    case loss_reduce:
      return "loss_reduce";
    case step:
      return "step";
  }
  return "";
}

bool synchronous(std::string_view name) { return name == "gpipe" || name == "1f1b"; }

Schedule schedule(std::string_view name, int stages, int micro_batches, const ScheduleOptions& options) {
  ensure(name == "gpipe" || name == "1f1b", "a schedule that exists");
  return build(name, stages, micro_batches, [&](Writer& writer, int rank) {
    if (name == "gpipe") {
      gpipe(writer, micro_batches);
    } else {
      one_forward_one_backward(writer, rank, stages, micro_batches);
    }
    writer.finish_step(options);
  });
}

Schedule evaluation_schedule(int stages, int micro_batches) {
  return build("evaluation", stages, micro_batches, [&](Writer& writer, int) {
    for (int b = 0; b < micro_batches; ++b) writer.evaluation_pass(b, evaluate);
    writer.finish_evaluation();
  });
}

Schedule next_token_schedule(int stages) {
  return build("next token", stages, 1, [&](Writer& writer, int) {
    writer.evaluation_pass(0, logits);
    writer.finish_evaluation();
  });
}

bool is_send(ActionKind kind) { return kind == send_forward || kind == send_backward; }
bool is_receive(ActionKind kind) { return kind == receive_forward || kind == receive_backward; }

bool sends_sync(const Action& action, int stage) {
  if (action.kind == codec_sync_up) return stage == action.boundary + 1;
  return action.kind == codec_sync_down && stage == action.boundary;
}

}  // namespace strait::pipeline
