#include "strait/pipeline/executor.hpp"

#include "strait/core/host_mirror.hpp"
#include "strait/pipeline/verifier.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace strait::pipeline {
namespace {

using enum ActionKind;

bool is_computation(ActionKind kind) {
  switch (kind) {
    case forward:
    case evaluate:
    case logits:
    case backward:
    case backward_input:
    case backward_weight:
    case step:
      return true;
    default:
      return false;
  }
}

}  // namespace

template <class T>
Executor<T>::Executor(const ExecutionSpace& exec, const PipelineSetup& setup, const codec::Codec<T>& codec,
                      Transport& transport)
    : exec_(exec),
      setup_(setup),
      transport_(transport),
      reduction_(transport),
      training_(setup),
      evaluation_(proven(evaluation_schedule(setup.ranks(), 1, schedule_options(setup)))),
      next_token_schedule_(proven(pipeline::next_token_schedule(setup.ranks(), schedule_options(setup)))) {
  ensure(transport.size() == setup.ranks(), "as many ranks as the schedule has");
  const int chunks = training_.schedule.chunks;
  units_.reserve(chunks);
  for (int chunk = 0; chunk < chunks; ++chunk) {
    units_.emplace_back(exec, setup_, training_, training_.schedule.virtual_stage(transport.rank(), chunk),
                        codec, transport);
  }
}

template <class T>
void Executor<T>::begin_step(const StepInfo& info, BatchSource source) {
  info_ = info;
  if (info.trace) trace_.clear();
  for (StageUnit<T>& unit : units_) Kokkos::deep_copy(exec_, unit.stage().gradients(), T(0));
  begin(training_.schedule, Mode::training, std::move(source));
}

template <class T>
void Executor<T>::begin_evaluation(int micro_batches, BatchSource source, Crossing crossing) {
  if (micro_batches != evaluation_.micro_batches) {
    evaluation_ = proven(evaluation_schedule(setup_.ranks(), micro_batches, schedule_options(setup_)));
  }
  loss_sum_ = 0.0;
  begin(evaluation_, Mode::evaluation, std::move(source), crossing);
}

template <class T>
void Executor<T>::begin_next_token(BatchSource source, std::int64_t position, ChooseToken choose) {
  position_ = position;
  choose_ = std::move(choose);
  next_token_ = -1;
  begin(next_token_schedule_, Mode::next_token, std::move(source));
}

template <class T>
void Executor<T>::begin(const Schedule& schedule, Mode mode, BatchSource source, Crossing crossing) {
  ensure(finished_, "a list ends before the next begins");
  mode_ = mode;
  schedule_ = &schedule;
  list_ = &schedule.ranks[transport_.rank()];
  source_ = std::move(source);
  next_ = 0;
  updates_ = 0;
  finished_ = false;
  const auto step = mode == Mode::training ? std::optional(info_.step) : std::nullopt;
  for (StageUnit<T>& unit : units_) unit.begin(*list_, step, crossing);
}

template <class T>
bool Executor<T>::advance() {
  bool moved = false;
  transport_.progress();
  while (next_ < list_->size()) {
    if (!run((*list_)[next_])) return moved;
    ++next_;
    moved = true;
    transport_.progress();
  }
  if (finished_) return moved;
  for (StageUnit<T>& unit : units_) {
    if (!unit.idle()) return moved;
  }
  finished_ = true;
  return true;
}

/// Performs an action, or begins to wait for it; keeps the time.
template <class T>
bool Executor<T>::run(const Action& action) {
  const double start = transport_.seconds();
  if (!entered_) entered_ = start;
  const double input_before = statistics_.seconds_input;
  const bool done = perform(action);
  const double end = transport_.seconds();
  double& account =
      is_computation(action.kind) ? statistics_.seconds_compute : statistics_.seconds_communication;
  account += end - start - (statistics_.seconds_input - input_before);
  if (!done) {
    if (!blocked_since_) blocked_since_ = end;
    return false;
  }
  const double waited = blocked_since_ ? start - *blocked_since_ : 0.0;
  statistics_.seconds_wait += waited;
  if (info_.trace && mode_ == Mode::training) trace_.push_back({action, *entered_, waited, end});
  entered_.reset();
  blocked_since_.reset();
  return true;
}

template <class T>
bool Executor<T>::perform(const Action& action) {
  switch (action.kind) {
    case tied_reduce:
      return units_[action.chunk].tied().advance();
    case norm_reduce:
    case loss_reduce:
      return reduce(action);
    default:
      break;
  }
  if (!is_computation(action.kind)) return exchange(action);
  compute(action);
  fence(exec_, "strait::pipeline::executor: the time of an action ends with its work");
  return true;
}

template <class T>
void Executor<T>::compute(const Action& action) {
  const Region region("strait::pipeline::" + std::string(name(action.kind)));
  model::Stage<T>& stage = units_[action.chunk].stage();
  const double loss_scale = 1.0 / static_cast<double>(tokens(schedule_->micro_batches));
  switch (action.kind) {
    case forward:
      fetch(action);
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
      if (result_.finite) {
        const optim::UpdateInfo info{.step = info_.step,
                                     .learning_rate = info_.learning_rate,
                                     .gradient_scale = setup_.optimizer.clip_factor(result_.gradient_norm)};
        for (StageUnit<T>& unit : units_) unit.update(info, info_.learning_rate_fraction);
      }
      ++updates_;
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
  switch (action.kind) {
    case send_forward:
      return unit.downstream().send(action, context(action), stage.output(action.slot));
    case receive_forward:
      return unit.upstream().receive(context(action), stage.input(action.slot));
    case send_backward:
      return unit.upstream().send(action, context(action), stage.input_gradient());
    case receive_backward:
      return unit.downstream().receive(context(action), stage.output_gradient());
    case codec_sync_up:
      return sends ? unit.upstream().send_sync() : unit.downstream().receive_sync();
    case codec_sync_down:
      return sends ? unit.downstream().send_sync() : unit.upstream().receive_sync();
    default:
      ensure(false, "an action that exchanges a message");
  }
  return false;
}

template <class T>
bool Executor<T>::reduce(const Action& action) {
  if (!reduction_.started()) reduction_.start(own_record(action));
  const auto records = reduction_.finish();
  if (!records) return false;

  double loss = 0.0;
  for (const RankRecord& record : *records) loss += record.loss;
  loss /= static_cast<double>(tokens(schedule_->micro_batches));
  if (action.kind == norm_reduce) set_result(loss, *records);
  if (mode_ == Mode::evaluation) evaluated_loss_ = loss;
  if (mode_ == Mode::next_token) next_token_ = records->back().token;
  return true;
}

template <class T>
RankRecord Executor<T>::own_record(const Action& action) {
  if (action.kind == loss_reduce) return {.loss = loss_sum_, .token = next_token_, .sums_of_squares = {}};
  RankRecord record{.vote = info_.vote ? info_.vote() : 0, .sums_of_squares = {}};
  for (StageUnit<T>& unit : units_) {
    unit.project_gradients();
    record.sums_of_squares.push_back(unit.gradient_sum_of_squares());
    if (unit.is_last()) record.loss = unit.stage().take_loss();
  }
  return record;
}

template <class T>
void Executor<T>::set_result(double loss, const std::vector<RankRecord>& records) {
  result_ = StepResult();
  double sum_of_squares = 0.0;
  std::vector<double> of_ranks(records.size());
  // In the order of the stages, so that ranks with several chunks add up as one rank per stage does.
  for (std::size_t chunk = 0; chunk < units_.size(); ++chunk) {
    for (std::size_t rank = 0; rank < records.size(); ++rank) {
      sum_of_squares += records[rank].sums_of_squares[chunk];
      of_ranks[rank] += records[rank].sums_of_squares[chunk];
    }
  }
  for (std::size_t rank = 0; rank < records.size(); ++rank) {
    result_.rank_gradient_norms.push_back(std::sqrt(of_ranks[rank]));
    result_.votes.push_back(records[rank].vote);
  }
  result_.loss = loss;
  result_.gradient_norm = std::sqrt(sum_of_squares);
  result_.finite = std::isfinite(loss) && std::isfinite(result_.gradient_norm);
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

template <class T>
codec::Context Executor<T>::context(const Action& action) {
  const bool training = mode_ == Mode::training;
  return {.ids = units_[action.chunk].stage().ids(action.slot),
          .micro_batch = (training ? info_.step * setup_.micro_batches : 0) + action.micro_batch,
          .slot = action.slot,
          .weight_version = training ? info_.step + action.version : 0,
          .training = training};
}

/// Only the newest weights are kept.
template <class T>
const Vector<T>& Executor<T>::weights(const Action& action) {
  ensure(action.version == updates_, "the weights of an action are kept");
  return units_[action.chunk].stage().weights();
}

template <class T>
std::int64_t Executor<T>::tokens(int micro_batches) const {
  return std::int64_t{micro_batches} * setup_.sequences * setup_.model.context;
}

template <class T>
Statistics Executor<T>::take_statistics() {
  statistics_.sent = transport_.take_sent();
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
