#include "strait/pipeline/executor.hpp"

#include <cmath>

// What ranks find together: sums of gradients, results of steps and evaluations.

namespace strait::pipeline {
namespace {

using enum ActionKind;

double mean_loss(const std::vector<RankRecord>& records, std::int64_t tokens) {
  double loss = 0.0;
  for (const RankRecord& record : records) loss += record.loss;
  return loss / static_cast<double>(tokens);
}

}  // namespace

template <class T>
bool Executor<T>::combine(const Action& action) {
  StageUnit<T>& unit = units_[action.chunk];
  switch (action.kind) {
    case begin_all_reduce:
      unit.begin_all_reduce();
      return true;
    case all_reduce:
      return unit.all_reduce();
    case tied_reduce:
      return unit.tied().advance();
    case norm_reduce:
    case loss_reduce:
      return reduce(action);
    case report:
      hand_in();
      return true;
    default:
      ensure(false, "an action of several ranks");
  }
  return false;
}

template <class T>
bool Executor<T>::reduce(const Action& action) {
  if (reduction_.under_way() == 0) reduction_.start(own_record(action));
  const auto records = reduction_.finish();
  if (!records) return false;

  if (action.kind == norm_reduce) set_result(info_.step, *records);
  if (mode_ == Mode::evaluation) evaluated_loss_ = mean_loss(*records, tokens(micro_batches_));
  if (mode_ == Mode::next_token) next_token_ = records->at(placement().rank_of(setup_.stages() - 1, 0)).token;
  return true;
}

/// What the updates of a step found travels while the pipeline goes on.
template <class T>
void Executor<T>::hand_in() {
  RankRecord record{.vote = info_.vote ? info_.vote() : 0,
                    .sums_of_squares = {std::exchange(sum_of_squares_, 0.0)}};
  if (units_.front().is_last()) record.loss = units_.front().stage().take_loss();
  reports_.start(record);
  reported_.push_back(info_.step);
}

template <class T>
RankRecord Executor<T>::own_record(const Action& action) {
  if (action.kind == loss_reduce) return {.loss = loss_sum_, .token = next_token_, .sums_of_squares = {}};
  RankRecord record{.vote = info_.vote ? info_.vote() : 0, .sums_of_squares = {}};
  for (StageUnit<T>& unit : units_) {
    record.sums_of_squares.push_back(measure(unit));
    if (unit.is_last()) record.loss = unit.stage().take_loss();
  }
  return record;
}

/// Sum of squares of the gradients that an update is made of.
template <class T>
double Executor<T>::measure(StageUnit<T>& unit) {
  unit.project_gradients();
  return unit.gradient_sum_of_squares();
}

template <class T>
void Executor<T>::set_result(std::int64_t step, const std::vector<RankRecord>& records) {
  result_ = StepResult();
  result_.step = step;
  double sum_of_squares = 0.0;
  std::vector<double> of_ranks(records.size());
  // In the order of the stages, so that ranks with several chunks add up as one rank per stage does.
  for (std::size_t chunk = 0; chunk < units_.size(); ++chunk) {
    for (std::size_t rank = 0; rank < records.size(); ++rank) {
      // Of replicas, which are the same, the first counts.
      const bool counts = placement().replica_of(static_cast<int>(rank)) == 0;
      if (counts) sum_of_squares += records[rank].sums_of_squares[chunk];
      of_ranks[rank] += records[rank].sums_of_squares[chunk];
    }
  }
  for (std::size_t rank = 0; rank < records.size(); ++rank) {
    result_.rank_gradient_norms.push_back(std::sqrt(of_ranks[rank]));
    result_.votes.push_back(records[rank].vote);
  }
  result_.loss = mean_loss(records, tokens(setup_.micro_batches));
  result_.gradient_norm = std::sqrt(sum_of_squares);
  result_.finite = std::isfinite(result_.loss) && std::isfinite(result_.gradient_norm);
  results_.push_back(result_);
}

/// Makes results of reports until `left` are under way; false where the oldest is not here.
template <class T>
bool Executor<T>::collect(std::size_t left) {
  while (reports_.under_way() > left) {
    const auto records = reports_.finish();
    if (!records) return false;
    set_result(reported_.front(), *records);
    reported_.pop_front();
  }
  return true;
}

#define STRAIT_INSTANTIATE(T)                                                          \
  template bool Executor<T>::combine(const Action&);                                   \
  template bool Executor<T>::reduce(const Action&);                                    \
  template void Executor<T>::hand_in();                                                \
  template double Executor<T>::measure(StageUnit<T>&);                                 \
  template RankRecord Executor<T>::own_record(const Action&);                          \
  template void Executor<T>::set_result(std::int64_t, const std::vector<RankRecord>&); \
  template bool Executor<T>::collect(std::size_t);
STRAIT_INSTANTIATE(float)
STRAIT_INSTANTIATE(double)
#undef STRAIT_INSTANTIATE

}  // namespace strait::pipeline
