#include "rank_check.hpp"

#include "fault.hpp"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

namespace strait::pipeline::verifier_detail {
namespace {

using enum ActionKind;

/// What has happened to one micro-batch on one virtual stage.
struct Progress {
  bool received = false, forwarded = false, sent = false, headed = false;
  bool gradient_received = false, input_done = false, weight_done = false, gradient_sent = false;
  int slot = -1;
  int version = -1;
};

class RankCheck {
 public:
  RankCheck(const Schedule& schedule, int rank)
      : schedule_(schedule),
        rank_(rank),
        trains_(std::any_of(list().begin(), list().end(),
                            [](const Action& action) { return action.kind == ActionKind::step; })),
        one_step_(std::count_if(list().begin(), list().end(),
                                [](const Action& action) { return action.kind == ActionKind::step; }) == 1),
        chunks_(schedule.chunks) {}

  /// Slots needed per chunk.
  std::vector<int> run() {
    count_uses();
    for (const Action& action : list()) {
      if (action.kind == step) visit_step(action);
      if (action.kind == report) visit_report(action);
      if (action.kind == codec_sync_up || action.kind == codec_sync_down) synchronise(action);
      if (action.kind == begin_all_reduce || action.kind == all_reduce) add_up(action);
      if (action.micro_batch >= 0) visit(action);
    }
    std::vector<int> slots;
    for (int c = 0; c < schedule_.chunks; ++c) {
      check_complete(c);
      slots.push_back(chunks_[c].slots);
    }
    check_synchronised();
    return slots;
  }

 private:
  struct Chunk {
    std::map<int, Progress> micro_batches;
    std::map<int, int> owner_of_slot;
    std::map<int, int> uses_left;
    int uses_left_in_all = 0;
    int output_gradient = -1;  ///< micro-batch whose gradient waits for backward
    int input_gradient = -1;   ///< micro-batch whose gradient waits to be sent
    bool unused_gradients = false;
    int backwards = 0;  ///< whose gradients are complete
    int backwards_in_all = 0;
    bool begun = false, added_up = false;  ///< with the other replicas
    int slots = 0;
  };

  const ActionList& list() const { return schedule_.ranks[rank_]; }

  void count_uses() {
    for (const Action& action : list()) {
      require(action.chunk >= 0 && action.chunk < schedule_.chunks, rank_, action, "no such chunk");
      if (action.micro_batch < 0) continue;
      require(action.micro_batch < schedule_.micro_batches, rank_, action, "no such micro-batch");
      require(is_own(action.micro_batch, action.chunk), rank_, action, "another replica runs it");
      ++chunks_[action.chunk].uses_left[action.micro_batch];
      ++chunks_[action.chunk].uses_left_in_all;
      const bool completes = action.kind == backward || action.kind == backward_weight;
      chunks_[action.chunk].backwards_in_all += completes ? 1 : 0;
    }
  }

  /// Of this rank until the step that comes next.
  int backwards_left(const Chunk& chunk) const {
    if (!schedule_.rule) return chunk.backwards_in_all - chunk.backwards;
    const Placement placement = schedule_.placement();
    const int stage = placement.stage_of(rank_);
    const int of_update = schedule_.rule->micro_batches_per_update(stage) / placement.replicas_of(stage);
    return (steps_ + 1) * of_update - chunk.backwards;
  }

  void visit_step(const Action& action) {
    for (Chunk& chunk : chunks_) {
      chunk.unused_gradients = false;
      require(!has_replicas() || chunk.added_up, rank_, action, "the replicas have not added up");
      chunk.begun = chunk.added_up = false;
      if (!schedule_.rule) continue;
      require(backwards_left(chunk) == 0, rank_, action, "its gradients are those of other micro-batches");
      require(action.version == steps_, rank_, action, "it is another update");
    }
    ++steps_;
  }

  /// One for all updates of a step.
  void visit_report(const Action& action) {
    ++reports_;
    const int updates = schedule_.rule ? schedule_.rule->updates_per_step(stage(action)) : 1;
    require(steps_ == reports_ * updates, rank_, action, "it does not follow the last update of its step");
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
        check_version(action, &VersionRule::forward);
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
        count_backward(chunk);
        break;
      case send_backward:
        require(chunk.input_gradient == action.micro_batch, rank_, action, "its gradient is not there");
        once(action, state.gradient_sent);
        chunk.input_gradient = -1;
        break;
      default:
        require(false, rank_, action, "this action belongs to no micro-batch");
    }
    --chunk.uses_left_in_all;
    if (--chunk.uses_left[action.micro_batch] == 0) chunk.owner_of_slot.erase(action.slot);
  }

  /// Gradients of the replicas.
  void add_up(const Action& action) {
    Chunk& chunk = chunks_[action.chunk];
    require(has_replicas(), rank_, action, "its stage has no other replica");
    if (action.kind == begin_all_reduce) {
      require(backwards_left(chunk) <= 1, rank_, action, "more than the last backward come after it");
      once(action, chunk.begun);
    } else {
      const bool complete = backwards_left(chunk) == 0 && (schedule_.rule || chunk.uses_left_in_all == 0);
      require(chunk.begun && complete, rank_, action, "gradients are not complete");
      once(action, chunk.added_up);
    }
  }

  /// Of the boundary on either side of a chunk.
  void synchronise(const Action& action) {
    const int boundary = stage(action);
    require(action.boundary == boundary || action.boundary == boundary - 1, rank_, action,
            "not a boundary of this stage");
    const bool up = action.kind == codec_sync_up;
    std::vector<int>& before = up ? synchronised_up_ : synchronised_down_;
    const auto expect = [&](bool condition, const char* what) {
      if (!condition && out_of_turn_.empty()) out_of_turn_ = describe(rank_, action) + ": " + what;
    };
    expect(up == (steps_ == 0), up ? "it comes after the step" : "it comes before the step");
    expect(!up || chunks_[action.chunk].uses_left_in_all == 0, "messages of the step come after it");
    expect(!up || !has_replicas() || chunks_[action.chunk].added_up, "the replicas have not added up");
    expect(!up || before.empty() || action.boundary < before.back() ||
               (action.boundary == before.back() && sends_sync(action, stage(action))),
           "the boundaries synchronise in another order");
    before.push_back(action.boundary);
  }

  void check_synchronised() const {
    if (schedule_.rule && steps_ != reports_ * schedule_.rule->updates_per_step(stage({.kind = step}))) {
      throw Fault{fmt::format("rank {}: not each step is reported", rank_)};
    }
    if (!one_step_) return;
    if (!out_of_turn_.empty()) throw Fault{out_of_turn_};
    std::vector<int> up, down;
    for (int c = 0; c < schedule_.chunks; ++c) {
      const int stage = schedule_.virtual_stage(rank_, c);
      if (stage > 0) {
        up.insert(up.end(), heard_by(stage - 1), stage - 1);
        down.push_back(stage - 1);
      }
      if (stage + 1 < schedule_.virtual_stages()) {
        up.push_back(stage);
        down.insert(down.end(), heard_by(stage + 1), stage);
      }
    }
    for (auto [found, wanted] : {std::pair(synchronised_up_, up), std::pair(synchronised_down_, down)}) {
      std::sort(found.begin(), found.end());
      if (found != wanted) throw Fault{fmt::format("rank {}: not each boundary synchronises once", rank_)};
    }
  }

  /// Replicas of the next or previous virtual stage that hear of synchronisation from this rank.
  int heard_by(int virtual_stage) const {
    const Placement placement = schedule_.placement();
    const int own = placement.replica_of(rank_), all = placement.replicas_of(placement.stage_of(rank_));
    return (placement.replicas_of(virtual_stage) - own + all - 1) / all;
  }

  /// Weights of a computation are there, and those that the rule says. Without a rule the list has what it
  /// has seen.
  void check_version(const Action& action, std::int64_t (VersionRule::*version)(int, std::int64_t) const) {
    require(action.version <= steps_, rank_, action, "its weights do not exist yet");
    const int kept = schedule_.rule ? schedule_.rule->copies(stage(action)) : steps_ + 1;
    require(action.version > steps_ - kept, rank_, action, "its weights are not kept");
    if (!schedule_.rule) return;
    const std::int64_t wanted = (*schedule_.rule.*version)(stage(action), action.micro_batch);
    require(action.version == wanted, rank_, action, "the rule says other weights");
  }

  void visit_backward(const Action& action, Chunk& chunk, Progress& state) {
    require(state.forwarded, rank_, action, "its forward has not run");
    once(action, state.input_done);
    if (!is_last(action)) {
      require(chunk.output_gradient == action.micro_batch, rank_, action, "its gradient is not there");
      chunk.output_gradient = -1;
    }
    if (schedule_.rule) {
      check_version(action, &VersionRule::backward);
    } else {
      require(action.version == state.version, rank_, action, "its forward used other weights");
    }
    require(chunk.input_gradient < 0, rank_, action, "another gradient has not been sent yet");
    if (!is_first(action)) chunk.input_gradient = action.micro_batch;
    if (action.kind == backward) {
      once(action, state.weight_done);
      count_backward(chunk);
    }
  }

  void count_backward(Chunk& chunk) const {
    chunk.unused_gradients = true;
    ++chunk.backwards;
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
      if (!is_own(b, c)) continue;
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

  bool has_replicas() const {
    const Placement placement = schedule_.placement();
    return placement.replicas_of(placement.stage_of(rank_)) > 1;
  }
  bool is_own(int micro_batch, int chunk) const {
    return schedule_.placement().rank_for(schedule_.virtual_stage(rank_, chunk), micro_batch) == rank_;
  }
  int stage(const Action& action) const { return schedule_.virtual_stage(rank_, action.chunk); }
  bool is_first(const Action& action) const { return stage(action) == 0; }
  bool is_last(const Action& action) const { return stage(action) == schedule_.virtual_stages() - 1; }

  const Schedule& schedule_;
  int rank_;
  bool trains_;
  bool one_step_;  ///< all micro-batches share it
  std::vector<Chunk> chunks_;
  std::vector<int> synchronised_up_, synchronised_down_;  ///< boundaries, in order
  std::string out_of_turn_;                               ///< the first of them that is
  int steps_ = 0;
  int reports_ = 0;
};

}  // namespace

std::vector<int> check_rank(const Schedule& schedule, int rank) { return RankCheck(schedule, rank).run(); }

}  // namespace strait::pipeline::verifier_detail
