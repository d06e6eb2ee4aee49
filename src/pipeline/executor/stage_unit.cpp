#include "strait/pipeline/stage_unit.hpp"

#include "strait/kernels/elementwise.hpp"
#include "strait/pipeline/timed_stage.hpp"

#include <utility>

namespace strait::pipeline {

codec::BoundaryShape boundary_shape(const PipelineSetup& setup, int boundary, int slots,
                                    int updates_in_flight) {
  return {.boundary = boundary,
          .after_layer = setup.spans[boundary].last_layer - 1,
          .tokens = std::int64_t{setup.sequences} * setup.model.context,
          .hidden = setup.model.hidden,
          .vocab = setup.model.vocab,
          .slots = slots,
          .micro_batches = setup.micro_batches,
          .seed = setup.seed,
          .updates_in_flight = updates_in_flight,
          .bfloat16 = setup.bfloat16};
}

namespace {

/// Of a boundary at stage `index`, on either side of it.
codec::BoundaryShape own_boundary_shape(const PipelineSetup& setup, const TrainingPlan& plan, int boundary,
                                        int index) {
  return boundary_shape(setup, boundary, plan.slots_of(index), plan.steps_in_flight(index));
}

model::StageOptions stage_options(const PipelineSetup& setup, const TrainingPlan& plan, int index) {
  return {.sequences = setup.sequences,
          .slots = plan.slots_of(index),
          .recompute = setup.recompute,
          .split_backward = plan.split_backward,
          .seed = setup.seed,
          .bfloat16 = setup.bfloat16,
          .stochastic_rounding = setup.stochastic_rounding};
}

template <class T>
std::unique_ptr<model::Stage<T>> make_stage(const ExecutionSpace& exec, const PipelineSetup& setup, int index,
                                            const model::StageOptions& options) {
  const model::StageSpan& span = setup.spans[index];
  if (setup.timed_layers.empty()) {
    return std::make_unique<model::Stage<T>>(exec, setup.model, span, options);
  }
  return std::make_unique<TimedStage<T>>(exec, setup.model, span, options, setup.timed_layers);
}

ReplicaGroup group_of(const Placement& placement, int virtual_stage, int own) {
  ReplicaGroup group{.ranks = {}, .own = own};
  for (int replica = 0; replica < placement.replicas_of(virtual_stage); ++replica) {
    group.ranks.push_back(placement.rank_of(virtual_stage, replica));
  }
  return group;
}

/// Whether stage `index` holds a copy of a table that another stage holds too.
bool is_tied(const PipelineSetup& setup, int index) {
  return setup.model.tie_embeddings && setup.stages() > 1 && (index == 0 || index == setup.stages() - 1);
}

}  // namespace

template <class T>
StageUnit<T>::StageUnit(const ExecutionSpace& exec, const PipelineSetup& setup, const TrainingPlan& plan,
                        int index, const codec::Codec<T>& codec, Transport& transport)
    : exec_(exec), index_(index), is_last_(index == setup.stages() - 1) {
  const Placement placement = plan.schedule.placement();
  const int own = placement.replica_of(transport.rank());
  replicas_ = group_of(placement, index, own);
  model::StageOptions options = stage_options(setup, plan, index);
  if (!is_first()) {
    const auto shape = own_boundary_shape(setup, plan, index - 1, index);
    upstream_.emplace(exec, codec.receiver(exec, shape), shape, message_capacities(codec, shape), transport,
                      plan.messages_between_lists(index));
    upstream_sync_peer_ = placement.rank_of(index - 1, own % placement.replicas_of(index - 1));
  }
  if (!is_last()) {
    const auto shape = own_boundary_shape(setup, plan, index, index);
    downstream_.emplace(exec, codec.sender(exec, shape), shape, message_capacities(codec, shape), transport,
                        plan.messages_between_lists(index + 1));
    downstream_sync_peer_ = placement.rank_of(index + 1, own % placement.replicas_of(index + 1));
  }
  if (upstream_ && downstream_) codec.connect(upstream_->end(), downstream_->end());

  options.add_parameters = [this](model::ParameterLayout& layout) {
    if (upstream_) upstream_->end().add_parameters(layout);
    if (downstream_) downstream_->end().add_parameters(layout);
  };
  options.between_layers = [this, &transport](int layer) {
    transport.progress();
    layer_done(layer);
  };
  stage_ = make_stage<T>(exec, setup, index, options);
  const model::ParameterLayout& layout = stage_->layout();
  if (upstream_) upstream_->end().lend(layout, stage_->weights(), stage_->gradients());
  if (downstream_) downstream_->end().lend(layout, stage_->weights(), stage_->gradients());
  optimizer_ = optim::make_optimizer<T>(setup.optimizer, layout, plan.delay_of(index));
  if (plan.compensates(index)) compensated_ = plan.asynchronous->rule;
  stage_->round_weights(0);  // the ends may have changed them
  kept_.emplace(stage_->working_weights(), plan.weight_copies(index));

  if (is_tied(setup, index)) {
    const int copy = tied_parameter(layout, is_first());
    tied_.emplace(exec, transport, placement.rank_of(is_first() ? setup.stages() - 1 : 0, own),
                  layout.view(stage_->gradients(), copy));
  }
  if (replicas_.size() > 1) make_sums(transport);
}

template <class T>
std::int64_t StageUnit<T>::bytes_needed(const PipelineSetup& setup, const TrainingPlan& plan, int index,
                                        const codec::Codec<T>& codec) {
  model::StageOptions options = stage_options(setup, plan, index);
  std::int64_t ends = 0;
  std::vector<std::int64_t> sums;  // elements of what replicas add up
  options.add_parameters = [&](model::ParameterLayout& layout) {
    sums.clear();  // this is called for the layout and again for the stage
    const auto end = [&](codec::Side side, int boundary) {
      const auto waiting = plan.messages_between_lists(boundary + 1);
      const auto shape = own_boundary_shape(setup, plan, boundary, index);
      const auto own = codec.sums_needed(side, shape);
      sums.insert(sums.end(), own.begin(), own.end());
      return codec.bytes_needed(side, shape, layout) +
             buffer_bytes_needed(side, message_capacities(codec, shape), waiting);
    };
    ends = index > 0 ? end(codec::Side::receiver, index - 1) : 0;
    if (index + 1 < setup.stages()) ends += end(codec::Side::sender, index);
  };
  const auto layout = model::stage_layout(setup.model, setup.spans[index], options.add_parameters);
  std::int64_t bytes = ends + model::Stage<T>::bytes_needed(setup.model, setup.spans[index], options) +
                       optim::state_bytes_needed<T>(setup.optimizer, layout, plan.delay_of(index)) +
                       KeptWeights<T>::bytes_needed(layout, plan.weight_copies(index), setup.bfloat16);
  if (is_tied(setup, index)) bytes += TiedReduction<T>::bytes_needed(layout, index == 0);
  const int replicas = plan.schedule.placement().replicas_of(index);
  if (replicas == 1) return bytes;
  for (const GradientPart& part : gradient_parts(layout, setup.spans[index])) {
    sums.push_back(part.end - part.begin);
  }
  for (const std::int64_t size : sums) bytes += ReplicaSum<T>::bytes_needed(size, replicas);
  return bytes;
}

template <class T>
void StageUnit<T>::begin(const Arrivals& arrivals, std::optional<std::int64_t> step, Crossing crossing) {
  if (upstream_) upstream_->begin(arrivals.forward, step, upstream_sync_peer_, crossing);
  if (downstream_) downstream_->begin(arrivals.backward, step, downstream_sync_peer_, crossing);
  if (tied_ && step) tied_->begin();
}

template <class T>
bool StageUnit<T>::idle() {
  const bool up = !upstream_ || upstream_->idle();
  const bool down = !downstream_ || downstream_->idle();
  return up && down;
}

template <class T>
bool StageUnit<T>::evaluation_idle() {
  return !downstream_ || downstream_->evaluation_idle();
}

template <class T>
bool StageUnit<T>::settled() {
  const bool up = !upstream_ || upstream_->settled();
  const bool down = !downstream_ || downstream_->settled();
  return up && down;
}

template <class T>
void StageUnit<T>::begin_at(std::int64_t version) {
  const bool other = version != kept_->newest();
  kept_->begin_at(version);
  if (other) stage_->round_weights(version);
}

template <class T>
void StageUnit<T>::use_weights(const model::Weights<T>& version) {
  if (upstream_) upstream_->end().use_weights(version);
  if (downstream_) downstream_->end().use_weights(version);
}

template <class T>
void StageUnit<T>::project_gradients() {
  if (upstream_) upstream_->end().project_gradients(exec_);
  if (downstream_) downstream_->end().project_gradients(exec_);
}

template <class T>
double StageUnit<T>::gradient_sum_of_squares() {
  double sum = 0.0;
  std::int64_t begin = 0;
  const auto add_up_to = [&](std::int64_t end) {
    if (end > begin) {
      sum +=
          kernels::sum_of_squares<T>(exec_, Kokkos::subview(stage_->gradients(), std::make_pair(begin, end)));
    }
  };
  for (const model::ParameterInfo& info : stage_->layout().entries()) {
    if (!info.shared) continue;
    add_up_to(info.offset);
    begin = info.offset + info.size();
  }
  add_up_to(stage_->layout().size());
  return sum;
}

template <class T>
void StageUnit<T>::update(const optim::UpdateInfo& info, const codec::UpdateInfo& codec_info) {
  kept_->advance(exec_);
  ConstVector<T> then;
  if (compensated_) {
    const std::int64_t micro_batch = info.step * compensated_->micro_batches_per_update(index_);
    then = kept_->of(compensated_->backward(index_, micro_batch)).full;
  }
  optimizer_->update(exec_, stage_->weights(), stage_->gradients(), info, then);
  if (upstream_) upstream_->update(codec_info);
  if (downstream_) downstream_->update(codec_info);
  stage_->round_weights(version());
  share_out_sums(codec_info);
}

template <class T>
void StageUnit<T>::skip_update(const codec::UpdateInfo& codec_info) {
  kept_->advance(exec_);
  stage_->round_weights(version());  // as a restart from there would
  share_out_sums(codec_info);
}

template <class T>
std::int64_t StageUnit<T>::memory_bytes() const {
  std::int64_t bytes = stage_->parameter_bytes() + stage_->activation_bytes() + optimizer_->state_bytes() +
                       kept_->memory_bytes();
  if (upstream_) bytes += upstream_->memory_bytes();
  if (downstream_) bytes += downstream_->memory_bytes();
  if (tied_) bytes += tied_->memory_bytes();
  for (const auto& sum : sums_) bytes += sum->memory_bytes();
  return bytes;
}

template class StageUnit<float>;
template class StageUnit<double>;

}  // namespace strait::pipeline
