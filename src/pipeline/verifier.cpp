#include "strait/pipeline/verifier.hpp"

#include "strait/core/error.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

namespace strait::pipeline {
namespace {

using enum ActionKind;

struct Fault {
  std::string text;
};

std::string describe(int rank, const Action& action) {
  std::string text = fmt::format("rank {}: {}", rank, name(action.kind));
  if (action.micro_batch >= 0) text += fmt::format(" of micro-batch {}", action.micro_batch);
  if (action.boundary >= 0) text += fmt::format(" at boundary {}", action.boundary);
  return text;
}

void require(bool condition, int rank, const Action& action, const char* what) {
  if (!condition) throw Fault{fmt::format("{}: {}", describe(rank, action), what)};
}

/// What has happened to one micro-batch on one virtual stage.
struct Progress {
  bool received = false, forwarded = false, sent = false, headed = false;
  bool gradient_received = false, input_done = false, weight_done = false, gradient_sent = false;
  int slot = -1;
  int version = -1;
};

/// Walks through one rank's list: order, completeness, slots, gradient buffers and weight versions.
class RankCheck {
 public:
  RankCheck(const Schedule& schedule, int rank)
      : schedule_(schedule),
        rank_(rank),
        trains_(std::any_of(list().begin(), list().end(),
                            [](const Action& action) { return action.kind == ActionKind::step; })),
        chunks_(schedule.chunks) {}

  /// Slots needed per chunk.
  std::vector<int> run() {
    count_uses();
    for (const Action& action : list()) {
      if (action.kind == step) {
        ++steps_;
        for (Chunk& chunk : chunks_) chunk.unused_gradients = false;
      }
      if (action.micro_batch >= 0) visit(action);
    }
    std::vector<int> slots;
    for (int c = 0; c < schedule_.chunks; ++c) {
      check_complete(c);
      slots.push_back(chunks_[c].slots);
    }
    return slots;
  }

 private:
  struct Chunk {
    std::map<int, Progress> micro_batches;
    std::map<int, int> owner_of_slot;
    std::map<int, int> uses_left;
    int output_gradient = -1;  ///< micro-batch whose gradient waits for backward
    int input_gradient = -1;   ///< micro-batch whose gradient waits to be sent
    bool unused_gradients = false;
    int slots = 0;
  };

  const ActionList& list() const { return schedule_.ranks[rank_]; }

  void count_uses() {
    for (const Action& action : list()) {
      require(action.chunk >= 0 && action.chunk < schedule_.chunks, rank_, action, "no such chunk");
      if (action.micro_batch < 0) continue;
      require(action.micro_batch < schedule_.micro_batches, rank_, action, "no such micro-batch");
      ++chunks_[action.chunk].uses_left[action.micro_batch];
    }
  }

  void visit(const Action& action) {
    Chunk& chunk = chunks_[action.chunk];
    Progress& state = chunk.micro_batches[action.micro_batch];
    hold_slot(action, chunk, state);
    switch (action.kind) {
      case receive_forward:
        require(!is_first(action), rank_, action, "the first stage receives nothing");
        once(action, state.received);
        break;
      case forward:
        require(is_first(action) || state.received, rank_, action, "its input has not arrived");
        once(action, state.forwarded);
        require(action.version >= 0 && action.version <= steps_, rank_, action,
                "its weights do not exist yet");
        state.version = action.version;
        break;
      case send_forward:
        require(state.forwarded && !is_last(action), rank_, action, "there is nothing to send");
        once(action, state.sent);
        break;
      case evaluate:
      case logits:
        require(state.forwarded && is_last(action), rank_, action, "the head is not here or has no input");
        once(action, state.headed);
        break;
      case receive_backward:
        require(state.sent, rank_, action, "its forward was not sent");
        once(action, state.gradient_received);
        require(chunk.output_gradient < 0, rank_, action, "another gradient still waits for its backward");
        chunk.output_gradient = action.micro_batch;
        break;
      case backward:
      case backward_input:
        visit_backward(action, chunk, state);
        break;
      case backward_weight:
        require(state.input_done, rank_, action, "the input's half comes first");
        once(action, state.weight_done);
        chunk.unused_gradients = true;
        break;
      case send_backward:
        require(chunk.input_gradient == action.micro_batch, rank_, action, "its gradient is not there");
        once(action, state.gradient_sent);
        chunk.input_gradient = -1;
        break;
      default:
        require(false, rank_, action, "this action belongs to no micro-batch");
    }
    if (--chunk.uses_left[action.micro_batch] == 0) chunk.owner_of_slot.erase(action.slot);
  }

  void visit_backward(const Action& action, Chunk& chunk, Progress& state) {
    require(state.forwarded, rank_, action, "its forward has not run");
    once(action, state.input_done);
    if (!is_last(action)) {
      require(chunk.output_gradient == action.micro_batch, rank_, action, "its gradient is not there");
      chunk.output_gradient = -1;
    }
    require(action.version == state.version, rank_, action, "its forward used other weights");
    require(chunk.input_gradient < 0, rank_, action, "another gradient has not been sent yet");
    if (!is_first(action)) chunk.input_gradient = action.micro_batch;
    if (action.kind == backward) {
      once(action, state.weight_done);
      chunk.unused_gradients = true;
    }
  }

  void hold_slot(const Action& action, Chunk& chunk, Progress& state) {
    require(action.slot >= 0, rank_, action, "it has no slot");
    if (state.slot < 0) {
      require(chunk.owner_of_slot.emplace(action.slot, action.micro_batch).second, rank_, action,
              "another micro-batch is in its slot");
      state.slot = action.slot;
      chunk.slots = std::max(chunk.slots, action.slot + 1);
    }
    require(state.slot == action.slot, rank_, action, "its slot changes");
  }

  void check_complete(int c) const {
    const Chunk& chunk = chunks_[c];
    const Action here{.kind = step, .chunk = c};
    for (int b = 0; b < schedule_.micro_batches; ++b) {
      const auto found = chunk.micro_batches.find(b);
      const Progress state = found == chunk.micro_batches.end() ? Progress{} : found->second;
      const bool handed_on = is_last(here) || state.sent;
      const bool handed_back = is_first(here) || state.gradient_sent;
      const bool complete = trains_ ? state.forwarded && handed_on && state.weight_done && handed_back
                                    : state.forwarded && handed_on && (!is_last(here) || state.headed);
      if (!complete) {
        throw Fault{fmt::format("rank {}: chunk {} does not finish micro-batch {}", rank_, c, b)};
      }
    }
    if (chunk.unused_gradients) {
      throw Fault{fmt::format("rank {}: no step uses the last gradients of chunk {}", rank_, c)};
    }
  }

  void once(const Action& action, bool& done) const {
    require(!done, rank_, action, "it happens twice");
    done = true;
  }

  int stage(const Action& action) const { return schedule_.virtual_stage(rank_, action.chunk); }
  bool is_first(const Action& action) const { return stage(action) == 0; }
  bool is_last(const Action& action) const { return stage(action) == schedule_.virtual_stages() - 1; }

  const Schedule& schedule_;
  int rank_;
  bool trains_;
  std::vector<Chunk> chunks_;
  int steps_ = 0;
};

/// Runs all lists against each other. A send takes the one buffer of its channel and gives it back when the
/// receiver comes to the receive; a reduction waits for its participants.
class Simulation {
 public:
  explicit Simulation(const Schedule& schedule) : schedule_(schedule), next_(schedule.ranks.size(), 0) {}

  void run() {
    bool moved = true;
    while (moved) {
      moved = false;
      for (int rank = 0; rank < ranks(); ++rank) {
        while (!finished(rank) && try_action(rank)) moved = true;
      }
      moved = meet() || moved;
    }
    for (int rank = 0; rank < ranks(); ++rank) {
      if (!finished(rank)) throw Fault{describe(rank, current(rank)) + ": waits for ever"};
    }
    for (const auto& [channel, message] : on_the_way_) {
      throw Fault{describe(message.from, message.action) + ": nobody receives it"};
    }
  }

 private:
  struct OnTheWay {
    Action action;
    int from;
  };
  using Channel = std::tuple<int, int>;  // what travels, boundary

  int ranks() const { return static_cast<int>(next_.size()); }
  bool finished(int rank) const { return next_[rank] == schedule_.ranks[rank].size(); }
  const Action& current(int rank) const { return schedule_.ranks[rank][next_[rank]]; }

  static bool is_reduction(const Action& action) {
    return action.kind == tied_reduce || action.kind == norm_reduce || action.kind == loss_reduce;
  }

  bool try_action(int rank) {
    const Action& action = current(rank);
    if (is_reduction(action)) return false;
    const int stage = schedule_.virtual_stage(rank, action.chunk);
    const bool sync = action.kind == codec_sync_up || action.kind == codec_sync_down;
    if (is_send(action.kind) || (sync && sends_sync(action, stage))) return send(rank, action);
    if (is_receive(action.kind) || sync) return receive(rank, action, stage);
    ++next_[rank];
    return true;
  }

  static Channel channel(const Action& action) {
    switch (action.kind) {
      case send_forward:
      case receive_forward:
        return {0, action.boundary};
      case send_backward:
      case receive_backward:
        return {1, action.boundary};
      case codec_sync_up:
        return {2, action.boundary};
      default:
        return {3, action.boundary};
    }
  }

  bool send(int rank, const Action& action) {
    const bool downstream = action.kind == send_forward || action.kind == codec_sync_down;
    const int stage = schedule_.virtual_stage(rank, action.chunk);
    require(action.boundary == (downstream ? stage : stage - 1), rank, action,
            "not a boundary of this stage");
    require(action.peer == (downstream ? stage + 1 : stage - 1) % schedule_.stages, rank, action,
            "the other side is another rank");
    if (!on_the_way_.emplace(channel(action), OnTheWay{action, rank}).second) return false;
    ++next_[rank];
    return true;
  }

  bool receive(int rank, const Action& action, int stage) {
    const bool from_upstream = action.kind == receive_forward || action.kind == codec_sync_down;
    require(action.boundary == (from_upstream ? stage - 1 : stage), rank, action,
            "not a boundary of this stage");
    const auto found = on_the_way_.find(channel(action));
    if (found == on_the_way_.end()) return false;
    const OnTheWay& message = found->second;
    require(message.from == action.peer && message.action.peer == rank, rank, action,
            "the message comes from another rank");
    require(message.action.micro_batch == action.micro_batch, rank, action,
            "another micro-batch was sent first");
    require(message.action.version == action.version, rank, action, "the sender used other weights");
    on_the_way_.erase(found);
    ++next_[rank];
    return true;
  }

  /// Lets the ranks that wait in a reduction pass once all its participants are there.
  bool meet() {
    bool moved = false;
    for (const ActionKind kind : {tied_reduce, norm_reduce, loss_reduce}) {
      std::vector<int> here;
      std::size_t wanted = kind == tied_reduce ? 2 : next_.size();
      for (int rank = 0; rank < ranks(); ++rank) {
        if (!finished(rank) && current(rank).kind == kind) here.push_back(rank);
      }
      if (here.size() != wanted) continue;
      if (kind == tied_reduce) {
        require(current(here[0]).peer == here[1] && current(here[1]).peer == here[0], here[0],
                current(here[0]), "the other copy is at another rank");
      }
      for (const int rank : here) ++next_[rank];
      moved = true;
    }
    return moved;
  }

  const Schedule& schedule_;
  std::vector<std::size_t> next_;
  std::map<Channel, OnTheWay> on_the_way_;
};

}  // namespace

Verification verify(const Schedule& schedule) {
  Verification out;
  try {
    if (static_cast<int>(schedule.ranks.size()) != schedule.stages)
      throw Fault{"one list per rank is needed"};
    for (int rank = 0; rank < schedule.stages; ++rank) {
      out.slots.push_back(RankCheck(schedule, rank).run());
    }
    Simulation(schedule).run();
  } catch (const Fault& fault) {
    out.problem = fault.text;
  }
  return out;
}

}  // namespace strait::pipeline
