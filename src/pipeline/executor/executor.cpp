#include "strait/pipeline/executor.hpp"

#include "strait/core/host_mirror.hpp"
#include "strait/pipeline/verifier.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace strait::pipeline {

using enum ActionKind;

template <class T>
Executor<T>::Executor(const ExecutionSpace& exec, const PipelineSetup& setup, const codec::Codec<T>& codec,
                      Transport& transport)
    : exec_(exec),
      setup_(setup),
      transport_(transport),
      reduction_(transport),
      training_(setup),
      run_(training_.asynchronous),
      evaluation_(proven(evaluation_schedule(placement().stages, 1, schedule_options(setup)))),
      next_token_schedule_(
          proven(pipeline::next_token_schedule(placement().stages, schedule_options(setup)))),
      computing_(exec),
      combining_(exec),
      reports_(transport) {
  ensure(transport.size() == setup_.ranks(), "as many ranks as the schedule has");
  const int chunks = setup_.chunks;
  units_.reserve(chunks);
  for (int chunk = 0; chunk < chunks; ++chunk) {
    units_.emplace_back(exec, setup_, training_, placement().virtual_stage(transport.rank(), chunk), codec,
                        transport);
  }
}

template <class T>
bool Executor<T>::advance() {
  bool moved = false;
  transport_.progress();
  while (next_ < list_.size()) {
    if (!run(list_[next_])) return moved;
    ++next_;
    moved = true;
    transport_.progress();
  }
  if (finished_ || !complete()) return moved;
  finished_ = true;
  return true;
}

/// Performs an action, or begins to wait for it; keeps the time.
template <class T>
bool Executor<T>::run(const Action& action) {
  const double start = transport_.seconds();
  const bool first_attempt = !entered_;
  if (first_attempt) entered_ = start;
  if (!perform(action)) {
    if (first_attempt) given_.record(exec_);
    if (!blocked_since_ && given_.passed()) blocked_since_ = transport_.seconds();
    return false;
  }
  const double waited = blocked_since_ ? start - *blocked_since_ : 0.0;
  statistics_.seconds_wait += waited;
  if (info_.trace && mode_ == Mode::training) {
    fence(exec_, "strait::pipeline::executor: a traced action ends with its work");
    trace_.push_back({action, *entered_, waited, transport_.seconds()});
  }
  entered_.reset();
  blocked_since_.reset();
  return true;
}

/// Attempts are timed where they give the device work: computations never wait, messages are timed by the
/// ends of their boundaries, and what ranks combine comes once in a step.
template <class T>
bool Executor<T>::perform(const Action& action) {
  switch (action.kind) {
    case forward:
      fetch(action);
      [[fallthrough]];
    case evaluate:
    case logits:
    case backward:
    case backward_input:
    case backward_weight:
    case step:
      computing_.start();
      compute(action);
      computing_.stop();
      return true;
    case begin_all_reduce:
    case all_reduce:
    case tied_reduce:
    case norm_reduce:
    case loss_reduce:
    case report: {
      combining_.start();
      const bool done = combine(action);
      combining_.stop();
      return done;
    }
    default:
      return exchange(action);
  }
}

template <class T>
void Executor<T>::compute(const Action& action) {
  const Region region("strait::pipeline::" + std::string(name(action.kind)));
  model::Stage<T>& stage = units_[action.chunk].stage();
  // Gradients cross the boundaries as those of the mean loss of the last stage's updates.
  const int averaged = run_ ? run_->rule.micro_batches_per_update(run_->rule.stages - 1) : micro_batches_;
  const double loss_scale = 1.0 / static_cast<double>(tokens(averaged));
  switch (action.kind) {
    case forward:
      stage.forward(action.slot, weights(action));
      break;
    case evaluate:
      loss_sum_ += stage.evaluate(action.slot, weights(action));
      break;
    case logits:
      choose_token(action);
      break;
    case backward:
      stage.backward(action.slot, weights(action), loss_scale);
      break;
    case backward_input:
      stage.backward_input(action.slot, weights(action), loss_scale);
      break;
    case backward_weight:
      stage.backward_weight(action.slot);
      break;
    case step:
      update(action);
      break;
    default:
      ensure(false, "an action that computes");
  }
}

template <class T>
bool Executor<T>::exchange(const Action& action) {
  const Region region("strait::pipeline::" + std::string(name(action.kind)));
  StageUnit<T>& unit = units_[action.chunk];
  model::Stage<T>& stage = unit.stage();
  const bool sends = sends_sync(action, unit.index());
  const std::int64_t step = info_.step + action.version;  // of synchronisation
  if (run_) lend_weights(action);
  switch (action.kind) {
    case send_forward:
      return unit.downstream().send(context(action), action.peer, stage.output(action.slot));
    case receive_forward:
      return unit.upstream().receive(context(action), stage.input(action.slot));
    case send_backward:
      return unit.upstream().send(context(action), action.peer, stage.input_gradient());
    case receive_backward:
      return unit.downstream().receive(context(action), stage.output_gradient());
    case codec_sync_up:
      return sends ? unit.upstream().send_sync(step, action.peer) : unit.downstream().receive_sync(step);
    case codec_sync_down:
      return sends ? unit.downstream().send_sync(step, action.peer) : unit.upstream().receive_sync(step);
    default:
      ensure(false, "an action that exchanges a message");
  }
  return false;
}

/// In asynchronous schedules each stage clips and checks its gradients alone.
template <class T>
void Executor<T>::update(const Action& action) {
  for (StageUnit<T>& unit : units_) {
    const int updates = updates_per_step(unit.index());
    const bool ends_step = action.version + 1 == updates;
    double scale = 1.0, norm = result_.gradient_norm;
    bool finite = result_.finite;
    if (run_) {
      const VersionRule& rule = run_->rule;
      scale = static_cast<double>(rule.micro_batches_per_update(rule.stages - 1)) /
              rule.micro_batches_per_update(unit.index());
      const double sum_of_squares = scale * scale * measure(unit);
      sum_of_squares_ += sum_of_squares / updates;
      norm = std::sqrt(sum_of_squares);
      finite = std::isfinite(norm);
    }
    const double rate = updates > 1 && info_.rate_of_update ? info_.rate_of_update(action.version, updates)
                                                            : info_.learning_rate;
    const optim::UpdateInfo info{.step = version(action, unit.index()),
                                 .learning_rate = rate,
                                 .gradient_scale = scale * setup_.optimizer.clip_factor(norm)};
    const codec::UpdateInfo codec_info{
        .step = info_.step, .learning_rate_fraction = info_.learning_rate_fraction, .ends_step = ends_step};
    if (finite) {
      unit.update(info, codec_info);
    } else {
      unit.skip_update(codec_info);
    }
    if (!ends_step) Kokkos::deep_copy(exec_, unit.stage().gradients(), T(0));
  }
}

/// Lets the batch source fill what this stage reads of a micro-batch.
template <class T>
void Executor<T>::fetch(const Action& action) {
  StageUnit<T>& unit = units_[action.chunk];
  BatchRequest request{.micro_batch = action.micro_batch, .ids = {}, .targets = {}};
  if (unit.is_first()) request.ids = unit.stage().ids(action.slot);
  if (unit.is_last() && mode_ != Mode::next_token) request.targets = unit.stage().targets(action.slot);
  if (request.ids.extent(0) == 0 && request.targets.extent(0) == 0) return;
  const double start = transport_.seconds();
  source_(request);
  statistics_.seconds_input += transport_.seconds() - start;
}

template <class T>
void Executor<T>::choose_token(const Action& action) {
  const auto values =
      to_host(exec_, units_[action.chunk].stage().logits(action.slot, position_, weights(action)));
  const std::vector<double> logits(values.data(), values.data() + values.span());
  next_token_ = choose_(logits);
}

/// Counted from the start of the run; of an evaluation from its own.
template <class T>
std::int64_t Executor<T>::micro_batch(const Action& action) const {
  const std::int64_t first = mode_ == Mode::training ? info_.step * setup_.micro_batches : 0;
  return first + action.micro_batch;
}

/// Of `stage`, whose updates those of the action are.
template <class T>
std::int64_t Executor<T>::version(const Action& action, int stage) const {
  return info_.step * updates_per_step(stage) + action.version;
}

template <class T>
codec::Context Executor<T>::context(const Action& action) {
  StageUnit<T>& unit = units_[action.chunk];
  int sender = unit.index();
  if (action.kind == receive_forward) --sender;
  if (action.kind == receive_backward) ++sender;
  const bool training = mode_ == Mode::training;
  return {.ids = unit.stage().ids(action.slot),
          .micro_batch = micro_batch(action),
          .slot = action.slot,
          .weight_version = training ? version(action, sender) : 0,
          .training = training};
}

template <class T>
const model::Weights<T>& Executor<T>::weights(const Action& action) {
  StageUnit<T>& unit = units_[action.chunk];
  return mode_ == Mode::training ? unit.weights(version(action, unit.index()))
                                 : unit.stage().working_weights();
}

/// A codec's end works with the weights that its own stage uses for the micro-batch.
template <class T>
void Executor<T>::lend_weights(const Action& action) {
  StageUnit<T>& unit = units_[action.chunk];
  if (mode_ != Mode::training) {
    unit.use_weights(unit.stage().working_weights());
  } else if (action.micro_batch >= 0) {
    const bool back = action.kind == send_backward || action.kind == receive_backward;
    const auto version = back ? &VersionRule::backward : &VersionRule::forward;
    unit.use_weights(unit.weights((run_->rule.*version)(unit.index(), micro_batch(action))));
  }
}

template <class T>
std::int64_t Executor<T>::tokens(int micro_batches) const {
  return std::int64_t{micro_batches} * setup_.sequences * setup_.model.context;
}

template <class T>
Statistics Executor<T>::take_statistics() {
  statistics_.sent = transport_.take_sent();
  statistics_.seconds_compute = computing_.take_seconds();
  statistics_.seconds_communication = combining_.take_seconds();
  for (StageUnit<T>& unit : units_) {
    if (unit.sender()) statistics_.seconds_communication += unit.downstream().take_seconds();
    if (unit.receiver()) statistics_.seconds_communication += unit.upstream().take_seconds();
  }
  return std::exchange(statistics_, Statistics());
}

template <class T>
std::int64_t Executor<T>::memory_bytes() const {
  std::int64_t bytes = 0;
  for (const StageUnit<T>& unit : units_) bytes += unit.memory_bytes();
  return bytes;
}

template class Executor<float>;
template class Executor<double>;

}  // namespace strait::pipeline
