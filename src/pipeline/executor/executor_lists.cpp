#include "strait/pipeline/executor.hpp"
#include "strait/pipeline/verifier.hpp"

#include <algorithm>
#include <utility>

// Which lists an executor runs, and when they may end.

namespace strait::pipeline {
namespace {

using enum ActionKind;

/// How many reports of steps may be on their way at the end of a list: a rank is that many lists ahead of
/// another at most before it waits for a message anyway, fewer where its stage has replicas.
std::size_t reports_on_their_way(const AsynchronousRun& run) {
  return run.rule.stages > 1 ? run.rule.stages : 0;
}

}  // namespace

template <class T>
void Executor<T>::begin_at(std::int64_t step, std::int64_t origin) {
  for (StageUnit<T>& unit : units_) unit.begin_at(step * updates_per_step(unit.index()));
  if (run_) run_->rule.origin = origin;
}

/// Of an asynchronous run.
template <class T>
std::int64_t Executor<T>::steps_done() const {
  const StageUnit<T>& unit = units_.front();
  return unit.version() / updates_per_step(unit.index());
}

template <class T>
void Executor<T>::begin_step(const StepInfo& info, BatchSource source) {
  info_ = info;
  if (info.trace) trace_.clear();
  for (StageUnit<T>& unit : units_) Kokkos::deep_copy(exec_, unit.stage().gradients(), T(0));
  if (run_) {
    ensure(steps_done() == info.step && info.step < run_->steps, "the steps of a run come in turn");
    begin(asynchronous_list(*run_, transport_.rank(), info.step), setup_.micro_batches, Mode::training,
          std::move(source));
  } else {
    for (StageUnit<T>& unit : units_) unit.begin_at(info.step);
    begin(training_.schedule.ranks[transport_.rank()], setup_.micro_batches, Mode::training,
          std::move(source));
  }
}

template <class T>
void Executor<T>::begin_evaluation(int micro_batches, BatchSource source, Crossing crossing) {
  if (micro_batches != evaluation_.micro_batches) {
    evaluation_ = proven(evaluation_schedule(placement().stages, micro_batches, schedule_options(setup_)));
  }
  loss_sum_ = 0.0;
  begin_evaluating(evaluation_, Mode::evaluation, std::move(source), crossing);
}

template <class T>
void Executor<T>::begin_next_token(BatchSource source, std::int64_t position, ChooseToken choose) {
  position_ = position;
  choose_ = std::move(choose);
  next_token_ = -1;
  begin_evaluating(next_token_schedule_, Mode::next_token, std::move(source));
}

template <class T>
void Executor<T>::begin_settling() {
  begin({}, 0, Mode::settling, {});
}

template <class T>
void Executor<T>::begin_evaluating(const Schedule& schedule, Mode mode, BatchSource source,
                                   Crossing crossing) {
  ActionList list = schedule.ranks[transport_.rank()];
  if (run_) {
    // The slot of the pass whose forward is next; those before it are in flight.
    const int stage = units_.front().index();
    const std::int64_t next = run_->forwarded(stage, steps_done());
    for (Action& action : list) action.slot = static_cast<int>(next % run_->slots(stage));
  }
  begin(list, schedule.micro_batches, mode, std::move(source), crossing);
}

template <class T>
void Executor<T>::begin(const ActionList& list, int micro_batches, Mode mode, BatchSource source,
                        Crossing crossing) {
  ensure(finished_, "a list ends before the next begins");
  mode_ = mode;
  list_ = list;
  micro_batches_ = micro_batches;
  source_ = std::move(source);
  next_ = 0;
  finished_ = false;
  if (mode == Mode::settling) return;
  const auto step = mode == Mode::training ? std::optional(info_.step) : std::nullopt;
  for (StageUnit<T>& unit : units_) unit.begin(arrivals(unit), step, crossing);
}

/// What the list at hand receives. In an asynchronous one, forward messages that are sent until its end: they
/// may then arrive at any time.
template <class T>
typename StageUnit<T>::Arrivals Executor<T>::arrivals(const StageUnit<T>& unit) const {
  typename StageUnit<T>::Arrivals out;
  const bool ahead = run_ && mode_ == Mode::training && !unit.is_first();
  for (const Action& action : list_) {
    if (action.kind == receive_forward && action.boundary == unit.index() - 1 && !ahead) {
      out.forward.push_back({micro_batch(action), action.peer});
    }
    if (action.kind == receive_backward && action.boundary == unit.index()) {
      out.backward.push_back({micro_batch(action), action.peer});
    }
  }
  if (!ahead) return out;
  const int before = unit.index() - 1;
  const std::int64_t senders = run_->replicas(before), receivers = run_->replicas(unit.index());
  const std::int64_t end = run_->forwarded(before, info_.step + 1) * senders;
  for (std::int64_t b = run_->forwarded(before, info_.step) * senders; b < end; ++b) {
    if (b % receivers != replica()) continue;
    out.forward.push_back({b, placement().rank_of(before, static_cast<int>(b % senders))});
  }
  return out;
}

/// Whether the list at hand, whose actions are done, may end.
template <class T>
bool Executor<T>::complete() {
  const auto all = [this](bool (StageUnit<T>::*is_so)()) {
    return std::all_of(units_.begin(), units_.end(), [&](StageUnit<T>& unit) { return (unit.*is_so)(); });
  };
  if (mode_ == Mode::settling) return collect(0) && all(&StageUnit<T>::settled);
  if (!run_) return all(&StageUnit<T>::idle);
  if (mode_ != Mode::training) return all(&StageUnit<T>::evaluation_idle);
  const bool last = info_.step + 1 == run_->steps;
  return collect(reports_on_their_way(*run_)) && (!last || all(&StageUnit<T>::idle));
}

#define STRAIT_INSTANTIATE(T)                                                                \
  template void Executor<T>::begin_at(std::int64_t, std::int64_t);                           \
  template std::int64_t Executor<T>::steps_done() const;                                     \
  template void Executor<T>::begin_step(const StepInfo&, BatchSource);                       \
  template void Executor<T>::begin_evaluation(int, BatchSource, Crossing);                   \
  template void Executor<T>::begin_next_token(BatchSource, std::int64_t, ChooseToken);       \
  template void Executor<T>::begin_settling();                                               \
  template void Executor<T>::begin(const ActionList&, int, Mode, BatchSource, Crossing);     \
  template void Executor<T>::begin_evaluating(const Schedule&, Mode, BatchSource, Crossing); \
  template typename StageUnit<T>::Arrivals Executor<T>::arrivals(const StageUnit<T>&) const; \
  template bool Executor<T>::complete();
STRAIT_INSTANTIATE(float)
STRAIT_INSTANTIATE(double)
#undef STRAIT_INSTANTIATE

}  // namespace strait::pipeline
