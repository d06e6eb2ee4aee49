#pragma once
// Runs one rank's list of actions. It stops where it would have to wait, so that one thread may serve one
// rank over MPI or all the ranks of an emulated pipeline.
//
// The host does not wait for a device but where it needs a number of it: the loss and the norm of a step.
// Computations and messages follow each other on the device as in the list, and what a device works is timed
// there. A traced step is the exception: its actions end with their work, so that the host's clock tells one
// from the other.

#include "strait/core/device_event.hpp"
#include "strait/core/work_timer.hpp"
#include "strait/pipeline/reduction.hpp"
#include "strait/pipeline/stage_unit.hpp"

#include <deque>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace strait::pipeline {

/// A micro-batch that a rank needs tokens of: ids on the first stage, targets on the last. A view that is not
/// wanted has extent 0.
struct BatchRequest {
  int micro_batch = 0;
  MutableTokenIds ids;      ///< [sequences * context]
  MutableTokenIds targets;  ///< [sequences * context]
};

/// Fills the views of a request.
using BatchSource = std::function<void(const BatchRequest&)>;

/// Chooses a token by its logits [vocab]; called on the last stage.
using ChooseToken = std::function<std::int32_t(std::span<const double> logits)>;

struct StepInfo {
  std::int64_t step = 0;  ///< updates before this one
  double learning_rate = 0.0;
  double learning_rate_fraction = 1.0;  ///< the run's warm-up and decay at this step, 0..1
  /// Of update `update` of `updates`, where a stage has several in the step; empty: learning_rate for all.
  std::function<double(int update, int updates)> rate_of_update = {};
  std::function<int()> vote;  ///< what to tell every rank; asked once per step, when its gradients are there
  bool trace = false;         ///< keep a record of the actions
};

/// Bitwise the same on every rank.
struct StepResult {
  std::int64_t step = 0;
  double loss = 0.0;           ///< mean cross-entropy in nats, before the update
  double gradient_norm = 0.0;  ///< over all stages, before clipping
  bool finite = true;  ///< otherwise weights and optimisers are as before the step, in asynchronous schedules
                       ///< those of stages whose own gradient was not
  /// Of a stage with several updates in the step their root mean square.
  std::vector<double> rank_gradient_norms;
  std::vector<int> votes;  ///< of every rank
};

struct TraceEntry {
  Action action;
  double start = 0.0;   ///< seconds on the transport's clock
  double waited = 0.0;  ///< part of start to end, for a message or a free buffer
  double end = 0.0;
};

/// What one rank did since it was asked last; of a device what it has done so far.
struct Statistics {
  SentBytes sent;
  double seconds_compute = 0.0;        ///< layers, norms, updates
  double seconds_communication = 0.0;  ///< encoding, decoding, sums over ranks
  double seconds_wait = 0.0;           ///< for messages, with nothing to compute
  double seconds_input = 0.0;          ///< in the batch source
};

template <class T>
class Executor {
 public:
  /// The virtual stages of rank transport.rank() of setup.ranks(). Refuses messages that are too long:
  /// Error(ExitCode::deck).
  Executor(const ExecutionSpace& exec, const PipelineSetup& setup, const codec::Codec<T>& codec,
           Transport& transport);

  // Each of these begins a list that `advance` runs. All ranks begin the same lists in the same order.
  /// Asynchronous schedules take the steps of their run in turn, and ask the source for micro-batches of
  /// later steps too, counted on. A step is then one or several updates of each stage.
  void begin_step(const StepInfo& info, BatchSource source);
  void begin_evaluation(int micro_batches, BatchSource source, Crossing crossing = Crossing::encoded);
  /// The token after `position` of the first sequence of the one micro-batch of `source`.
  void begin_next_token(BatchSource source, std::int64_t position, ChooseToken choose);

  /// Waits until all results are known and no message is on its way, so that a checkpoint or an end may come.
  void begin_settling();

  /// Runs actions until one has to wait. True if any was finished. What the source or the transport throws
  /// leaves the list unfinished for good.
  bool advance();
  bool finished() const { return finished_; }

  /// Results that have become known since the last call, in order: of each step at its end, in asynchronous
  /// schedules as many steps later as there are ranks, so that none has to wait for another's report.
  std::vector<StepResult> take_results() { return std::exchange(results_, {}); }
  const StepResult& result() const { return result_; }             ///< the newest that is known
  double evaluated_loss() const { return evaluated_loss_; }        ///< mean in nats, the same on every rank
  std::int32_t next_token() const { return next_token_; }          ///< the same on every rank
  const std::vector<TraceEntry>& trace() const { return trace_; }  ///< of the last traced step
  Statistics take_statistics();

  const std::optional<AsynchronousRun>& asynchronous() const { return run_; }
  /// Steps done: `step`. In asynchronous schedules the pipeline is that of a run that began empty at step
  /// `origin`: empty where they are equal, else StageUnit::load_in_flight fills it.
  void begin_at(std::int64_t step, std::int64_t origin);

  Transport& transport() { return transport_; }
  std::vector<StageUnit<T>>& units() { return units_; }
  /// Of all ranks.
  Placement placement() const { return setup_.placement(); }
  int replica() const { return placement().replica_of(transport_.rank()); }
  std::int64_t memory_bytes() const;

 private:
  enum class Mode { training, evaluation, next_token, settling };

  void begin(const ActionList& list, int micro_batches, Mode mode, BatchSource source,
             Crossing crossing = Crossing::encoded);
  void begin_evaluating(const Schedule& schedule, Mode mode, BatchSource source,
                        Crossing crossing = Crossing::encoded);
  typename StageUnit<T>::Arrivals arrivals(const StageUnit<T>& unit) const;
  std::int64_t steps_done() const;
  bool complete();
  bool collect(std::size_t left);
  bool run(const Action& action);
  bool perform(const Action& action);
  void compute(const Action& action);
  bool exchange(const Action& action);
  bool combine(const Action& action);
  bool reduce(const Action& action);
  RankRecord own_record(const Action& action);
  void set_result(std::int64_t step, const std::vector<RankRecord>& records);
  void hand_in();
  double measure(StageUnit<T>& unit);
  void update(const Action& action);
  void fetch(const Action& action);
  void choose_token(const Action& action);
  codec::Context context(const Action& action);
  const model::Weights<T>& weights(const Action& action);
  void lend_weights(const Action& action);
  std::int64_t micro_batch(const Action& action) const;
  int updates_per_step(int stage) const { return run_ ? run_->rule.updates_per_step(stage) : 1; }
  std::int64_t version(const Action& action, int stage) const;
  std::int64_t tokens(int micro_batches) const;

  ExecutionSpace exec_;
  PipelineSetup setup_;
  Transport& transport_;
  Reduction reduction_;
  TrainingPlan training_;
  std::optional<AsynchronousRun> run_;
  Schedule evaluation_, next_token_schedule_;
  std::vector<StageUnit<T>> units_;

  // The list at hand.
  Mode mode_ = Mode::training;
  ActionList list_;
  int micro_batches_ = 0;  ///< of the step or the evaluation
  std::size_t next_ = 0;
  bool finished_ = true;
  StepInfo info_;
  BatchSource source_;
  std::int64_t position_ = 0;
  ChooseToken choose_;
  double loss_sum_ = 0.0;  ///< of evaluated micro-batches on this rank

  // The action at hand.
  std::optional<double> entered_, blocked_since_;
  DeviceEvent given_;  ///< all that the device had to do when the action began to wait
  WorkTimer computing_, combining_;

  StepResult result_;
  std::vector<StepResult> results_;

  // Of asynchronous schedules.
  Reduction reports_;
  std::deque<std::int64_t> reported_;  ///< steps of the reports under way
  double sum_of_squares_ = 0.0;        ///< of the gradients of the step's updates so far
  double evaluated_loss_ = 0.0;
  std::int32_t next_token_ = -1;
  std::vector<TraceEntry> trace_;
  Statistics statistics_;
};

extern template class Executor<float>;
extern template class Executor<double>;

}  // namespace strait::pipeline
