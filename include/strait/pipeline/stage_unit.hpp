#pragma once
// A virtual stage with everything that belongs to it at its rank.

#include "strait/model/stage.hpp"
#include "strait/pipeline/boundary.hpp"
#include "strait/pipeline/config.hpp"
#include "strait/pipeline/gradient_parts.hpp"
#include "strait/pipeline/kept_weights.hpp"
#include "strait/pipeline/replica_sum.hpp"
#include "strait/pipeline/tied_reduction.hpp"
#include "strait/pipeline/training_plan.hpp"

#include <memory>
#include <optional>

namespace strait::pipeline {

/// The sizes of boundary `boundary` with `slots` micro-batches in flight.
codec::BoundaryShape boundary_shape(const PipelineSetup& setup, int boundary, int slots,
                                    int updates_in_flight = 0);

template <class T>
class StageUnit {
 public:
  /// Virtual stage `index` of setup.spans. The anchors that its codec ends want become parameters of the
  /// stage, lent to them.
  StageUnit(const ExecutionSpace& exec, const PipelineSetup& setup, const TrainingPlan& plan, int index,
            const codec::Codec<T>& codec, Transport& transport);

  /// memory_bytes() that such a unit begins with, without building it.
  static std::int64_t bytes_needed(const PipelineSetup& setup, const TrainingPlan& plan, int index,
                                   const codec::Codec<T>& codec);

  int index() const { return index_; }
  bool is_first() const { return index_ == 0; }
  bool is_last() const { return is_last_; }

  model::Stage<T>& stage() { return *stage_; }
  optim::Optimizer<T>& optimizer() { return *optimizer_; }

  /// The sending end of boundary `index`; null on the last stage.
  codec::Sender<T>* sender() { return downstream_ ? &downstream_->end() : nullptr; }
  /// The receiving end of boundary `index - 1`; null on the first stage.
  codec::Receiver<T>* receiver() { return upstream_ ? &upstream_->end() : nullptr; }

  DownstreamEnd<T>& downstream() { return *downstream_; }
  UpstreamEnd<T>& upstream() { return *upstream_; }
  TiedReduction<T>& tied() { return *tied_; }

  /// What arrives from both sides in a list: micro-batches, counted as in codec::Context. Synchronisation
  /// comes from fixed ranks.
  struct Arrivals {
    std::vector<Arrival> forward, backward;
  };

  /// Posts the receives of a list. Evaluations have no step; all else is encoded.
  void begin(const Arrivals& arrivals, std::optional<std::int64_t> step, Crossing crossing);

  /// No buffer is lent to the transport for sending; of evaluations alone.
  bool idle();
  bool evaluation_idle();
  /// No message is on its way to or from this stage.
  bool settled();

  /// The weights after `version` updates of the run.
  const model::Weights<T>& weights(std::int64_t version) const { return kept_->of(version); }
  std::int64_t version() const { return kept_->newest(); }
  /// The weights are those after `version` updates, and no earlier ones are known.
  void begin_at(std::int64_t version);
  /// What the codec's ends read of the weights from now on.
  void use_weights(const model::Weights<T>& version);

  /// The replicas of the stage, this one among them.
  const ReplicaGroup& replicas() const { return replicas_; }
  /// The gradients are complete but for those of the last backward: they go out layer by layer.
  void begin_all_reduce();
  /// True once gradients and what the codec's ends have summed are those of all replicas; never waits.
  bool all_reduce();

  /// Leaves of the gradients what the codec ends let the parameters follow; once per step, before their norm.
  void project_gradients();

  /// Sum of squares of the gradients of the stage's own parameters: the copy of a tied table counts at its
  /// owner. Waits.
  double gradient_sum_of_squares();

  /// One update of weights, then of both codec ends.
  void update(const optim::UpdateInfo& info, const codec::UpdateInfo& codec_info);
  /// The next version of the weights equals this one.
  void skip_update(const codec::UpdateInfo& codec_info);
  /// Of what the codec's ends have summed one replica keeps the total, unless it was used in this update.
  /// After a restart there is none.
  void share_out_sums(const std::optional<codec::UpdateInfo>& update);

  /// What an asynchronous run keeps beside weights, optimiser and codecs, in a group of this rank in `all`:
  /// versions, which the first replica saves for all, messages that arrived, and of the micro-batches in
  /// flight what their forwards and gradients need. Once settled; begin_at comes before load_in_flight, which
  /// runs their forwards again, or reads what they left where their weights are gone.
  void save_in_flight(io::Group all, const AsynchronousRun& run);
  void load_in_flight(const io::Group& all, const AsynchronousRun& run);

  /// Weights and their versions, gradients, activations, state of optimiser and codec, message buffers.
  std::int64_t memory_bytes() const;

 private:
  /// A micro-batch whose forward has run and whose backward has not.
  struct Pending {
    std::int64_t micro_batch;
    codec::InFlight<T> in_flight;
  };
  std::vector<Pending> pending(const AsynchronousRun& run) const;

  std::vector<codec::End<T>*> ends();
  void make_sums(Transport& transport);
  void layer_done(int layer);

  ExecutionSpace exec_;
  int index_;
  bool is_last_;
  std::optional<DownstreamEnd<T>> downstream_;
  std::optional<UpstreamEnd<T>> upstream_;
  std::unique_ptr<model::Stage<T>> stage_;
  std::unique_ptr<optim::Optimizer<T>> optimizer_;
  std::optional<TiedReduction<T>> tied_;
  std::optional<KeptWeights<T>> kept_;
  std::optional<VersionRule> compensated_;  ///< says which weights gradients are of, where updates read them

  int upstream_sync_peer_ = 0, downstream_sync_peer_ = 0;  ///< ranks that synchronisation comes from

  // Sums over replicas: of gradients by layers, the last first, and then of all else.
  ReplicaGroup replicas_;
  std::vector<GradientPart> parts_;
  std::vector<std::unique_ptr<ReplicaSum<T>>> sums_;
  bool begun_ = false;      ///< the backward at hand is the last before the sum
  bool adding_up_ = false;  ///< all gradients are complete
};

extern template class StageUnit<float>;
extern template class StageUnit<double>;

}  // namespace strait::pipeline
