#pragma once
// An asynchronous run from the rule of weight versions alone: one micro-batch after the other, every version
// and every micro-batch's activations kept, messages in plain queues. No schedule, executor or transport. The
// replicas of a stage are one stage here, which averages the gradients of their micro-batches.

#include "strait/codec/codec.hpp"
#include "strait/kernels/elementwise.hpp"
#include "strait/model/stage.hpp"
#include "strait/pipeline/config.hpp"
#include "strait/pipeline/stage_unit.hpp"
#include "strait/pipeline/version_rule.hpp"

#include "support/messages.hpp"

#include <algorithm>
#include <cmath>
#include <deque>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

namespace strait::test {

/// Fills ids and targets (where they have an extent) of a micro-batch of the run.
using RunTokens = std::function<void(std::int64_t micro_batch, MutableTokenIds ids, MutableTokenIds targets)>;

template <class T>
class AsynchronousOracle {
 public:
  /// The first `steps` steps of a run of as many.
  AsynchronousOracle(const ExecutionSpace& exec, const pipeline::PipelineSetup& setup,
                     const codec::Codec<T>& codec, const pipeline::VersionRule& rule, int steps,
                     RunTokens tokens)
      : exec_(exec),
        setup_(setup),
        rule_(rule),
        micro_batches_(std::int64_t{steps} * setup.micro_batches),
        tokens_(std::move(tokens)),
        boundaries_(setup.stages() - 1) {
    for (int s = 0; s < setup.stages(); ++s) add_stage(codec, s);
    for (std::int64_t b = 0; b < micro_batches_; ++b) pass(b);
  }

  std::vector<double> losses;              ///< [step]
  std::vector<std::vector<double>> norms;  ///< [step][stage]

  /// Of stage `s` after `version` updates.
  const Vector<T>& weights(int s, std::int64_t version) const { return stages_[s].versions[version]; }

 private:
  struct OneStage {
    std::unique_ptr<model::Stage<T>> stage;
    std::unique_ptr<codec::Receiver<T>> receiver;  ///< of the boundary before
    std::unique_ptr<codec::Sender<T>> sender;      ///< of the boundary behind
    std::unique_ptr<optim::Optimizer<T>> optimizer;
    std::vector<Vector<T>> versions;
    std::vector<Vector<T>> gradients;       ///< of each replica
    std::vector<Vector<bfloat16>> rounded;  ///< of each version, where layers read that
    std::int64_t next_forward = 0;
    double squares = 0.0;  ///< of the norms of the step's updates
  };
  /// Downwards: forward messages, and the synchronisation sent between them.
  struct Down {
    std::int64_t micro_batch;  ///< -1 for synchronisation
    codec::Message message;
  };
  struct Up {
    std::int64_t micro_batch;
    codec::Message message;
  };
  struct Boundary {
    codec::MessageBounds bounds;
    std::deque<Down> down;
    Up up;
  };

  int last() const { return setup_.stages() - 1; }

  void add_stage(const codec::Codec<T>& codec, int s) {
    OneStage one;
    const int slots = static_cast<int>(micro_batches_);
    const auto shape = [&](int boundary) { return pipeline::boundary_shape(setup_, boundary, slots, slots); };
    if (s > 0) one.receiver = codec.receiver(exec_, shape(s - 1));
    if (s < last()) {
      one.sender = codec.sender(exec_, shape(s));
      boundaries_[s].bounds = codec.bounds(shape(s));
    }
    if (one.sender && one.receiver) codec.connect(*one.receiver, *one.sender);
    model::StageOptions options{.sequences = setup_.sequences,
                                .slots = slots,
                                .recompute = setup_.recompute,
                                .seed = setup_.seed,
                                .bfloat16 = setup_.bfloat16,
                                .stochastic_rounding = setup_.stochastic_rounding};
    options.add_parameters = [&](model::ParameterLayout& layout) {
      if (one.receiver) one.receiver->add_parameters(layout);
      if (one.sender) one.sender->add_parameters(layout);
    };
    one.stage = std::make_unique<model::Stage<T>>(exec_, setup_.model, setup_.spans[s], options);
    const auto& layout = one.stage->layout();
    if (one.receiver) one.receiver->lend(layout, one.stage->weights(), one.stage->gradients());
    if (one.sender) one.sender->lend(layout, one.stage->weights(), one.stage->gradients());
    one.optimizer = optim::make_optimizer<T>(setup_.optimizer, layout, pipeline::stage_delay(rule_, s));
    keep_version(one);
    for (int k = 0; k < replicas(s); ++k) {
      one.gradients.emplace_back("strait::test::gradient", one.versions[0].extent(0));
    }
    stages_.push_back(std::move(one));
  }

  template <class Number>
  Vector<Number> copy_of(const Vector<Number>& from) const {
    const Vector<Number> to("strait::test::version", from.extent(0));
    Kokkos::deep_copy(exec_, to, from);
    return to;
  }

  /// The stage's weights, after as many updates as versions are kept.
  void keep_version(OneStage& one) const {
    one.stage->round_weights(static_cast<std::int64_t>(one.versions.size()));
    one.versions.push_back(copy_of(one.stage->weights()));
    one.rounded.push_back(copy_of(one.stage->working_weights().rounded));
  }

  static model::Weights<T> version_of(const OneStage& one, std::int64_t version) {
    model::Weights<T> weights(one.versions[version]);
    weights.rounded = one.rounded[version];
    return weights;
  }

  codec::Context context(int s, std::int64_t b) const {
    return {.ids = stages_[s].stage->ids(static_cast<int>(b)),
            .micro_batch = b,
            .slot = static_cast<int>(b),
            .weight_version = rule_.forward(s, b),
            .training = true};
  }

  int replicas(int s) const { return setup_.replicas.empty() ? 1 : setup_.replicas[s]; }
  /// Micro-batches to an update, and updates to a step.
  int averaged(int s) const {
    return rule_.kind == pipeline::WeightVersions::double_buffered ? setup_.micro_batches : replicas(s);
  }
  int updates(int s) const { return setup_.micro_batches / averaged(s); }

  /// One backward of every stage, after the forwards that come before it there: a stage is ahead by what the
  /// ranks behind its first can hold, in whole rounds of its replicas.
  void pass(std::int64_t b) {
    int behind = -1;
    for (int s = 0; s <= last(); ++s) behind += replicas(s);
    for (int s = 0; s <= last(); ++s) {
      const std::int64_t ahead = behind / replicas(s) * replicas(s);
      for (; stages_[s].next_forward <= std::min(b + ahead, micro_batches_ - 1); ++stages_[s].next_forward) {
        forward(s, stages_[s].next_forward);
      }
      behind -= replicas(s);
    }
    for (int s = last(); s >= 0; --s) backward(s, b);
    const bool ends_step = (b + 1) % setup_.micro_batches == 0;
    const std::int64_t step = b / setup_.micro_batches;
    for (int s = last(); s >= 0; --s) {
      if ((b + 1) % averaged(s) == 0) add_up(s);
    }
    for (int s = last(); ends_step && s > 0; --s) {
      if (!stages_[s].receiver->synchronises(step)) continue;
      codec::Message message = empty_message(boundaries_[s - 1].bounds.sync_up);
      stages_[s].receiver->send_sync_up(exec_, message);
      stages_[s - 1].sender->receive_sync_up(exec_, message);
    }
    for (int s = 0; s <= last(); ++s) {
      if ((b + 1) % averaged(s) == 0) update(s, b / averaged(s), {.step = step, .ends_step = ends_step});
    }
    if (!ends_step) return;
    const double tokens =
        static_cast<double>(setup_.micro_batches) * static_cast<double>(stages_[0].stage->tokens());
    losses.push_back(stages_.back().stage->take_loss() / tokens);
    norms.emplace_back();
    for (int s = 0; s <= last(); ++s) {
      norms.back().push_back(std::sqrt(std::exchange(stages_[s].squares, 0.0)));
    }
  }

  void forward(int s, std::int64_t b) {
    OneStage& one = stages_[s];
    const int slot = static_cast<int>(b);
    const model::Weights<T> weights = version_of(one, rule_.forward(s, b));
    tokens_(b, s == 0 ? one.stage->ids(slot) : MutableTokenIds(),
            s == last() ? one.stage->targets(slot) : MutableTokenIds());
    if (s > 0) {
      auto& down = boundaries_[s - 1].down;
      for (; down.front().micro_batch < 0; down.pop_front()) {
        one.receiver->receive_sync_down(exec_, down.front().message);
      }
      ensure(down.front().micro_batch == b, "messages arrive in order");
      one.receiver->use_weights(weights);
      one.receiver->decode(exec_, context(s, b), down.front().message, one.stage->input(slot));
      down.pop_front();
    }
    one.stage->forward(slot, weights);
    if (s == last()) return;
    codec::Message message = empty_message(boundaries_[s].bounds.forward);
    one.sender->use_weights(weights);
    one.sender->encode(exec_, context(s, b), one.stage->output(slot), message);
    boundaries_[s].down.push_back({b, message});
  }

  /// Its replica's gradients are in the stage's vector meanwhile.
  void backward(int s, std::int64_t b) {
    OneStage& one = stages_[s];
    const Vector<T>& gradients = one.gradients[b % replicas(s)];
    Kokkos::deep_copy(exec_, one.stage->gradients(), gradients);
    const double scale = 1.0 / (averaged(last()) * static_cast<double>(one.stage->tokens()));
    if (s < last()) {
      auto& [micro_batch, message] = boundaries_[s].up;
      ensure(micro_batch == b, "the gradient of this micro-batch");
      one.sender->decode_gradient(exec_, context(s, b), message, one.stage->output_gradient());
    }
    one.stage->backward(static_cast<int>(b), version_of(one, rule_.backward(s, b)), scale);
    if (s > 0) {
      auto& up = boundaries_[s - 1].up;
      up = {b, empty_message(boundaries_[s - 1].bounds.backward)};
      one.receiver->encode_gradient(exec_, context(s, b), one.stage->input_gradient(), up.message);
    }
    Kokkos::deep_copy(exec_, gradients, one.stage->gradients());
  }

  /// The stage's vector becomes the sum over its replicas.
  void add_up(int s) {
    OneStage& one = stages_[s];
    const Matrix<T> sum(one.stage->gradients().data(), 1, one.stage->gradients().extent(0));
    for (int k = 0; k < replicas(s); ++k) {
      const Matrix<T> own(one.gradients[k].data(), 1, sum.extent(1));
      if (k == 0) kernels::copy<T>(exec_, sum, own);
      if (k > 0) kernels::add<T>(exec_, sum, own);
      Kokkos::deep_copy(exec_, one.gradients[k], T(0));
    }
  }

  void update(int s, std::int64_t number, const codec::UpdateInfo& info) {
    OneStage& one = stages_[s];
    if (one.receiver) one.receiver->project_gradients(exec_);
    if (one.sender) one.sender->project_gradients(exec_);
    // The loss is the mean over micro-batches of the last stage, the gradient that over this stage's.
    const double mean = static_cast<double>(averaged(last())) / averaged(s);
    const double squares = mean * mean * kernels::sum_of_squares<T>(exec_, one.stage->gradients());
    one.squares += squares / updates(s);
    const double clipped = setup_.optimizer.clip_factor(std::sqrt(squares));
    one.optimizer->update(exec_, one.stage->weights(), one.stage->gradients(),
                          {.step = number,
                           .learning_rate = setup_.optimizer.rate_at(
                               info.step, setup_.steps, static_cast<int>(number % updates(s)), updates(s)),
                           .gradient_scale = mean * clipped},
                          one.versions[rule_.backward(s, number * averaged(s))]);
    if (one.receiver) one.receiver->update(exec_, info);
    if (one.sender) one.sender->update(exec_, info);
    keep_version(one);
    if (info.ends_step && one.sender && one.sender->synchronises(info.step)) {
      codec::Message message = empty_message(boundaries_[s].bounds.sync_down);
      one.sender->send_sync_down(exec_, message);
      boundaries_[s].down.push_back({-1, message});
    }
  }

  ExecutionSpace exec_;
  pipeline::PipelineSetup setup_;
  pipeline::VersionRule rule_;
  std::int64_t micro_batches_;
  RunTokens tokens_;
  std::vector<OneStage> stages_;
  std::vector<Boundary> boundaries_;
};

}  // namespace strait::test
