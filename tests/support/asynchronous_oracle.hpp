#pragma once
// An asynchronous run from the rule of weight versions alone: one stage after the other, every version and
// every micro-batch's activations kept, messages in plain queues. No schedule, executor or transport.

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
#include <vector>

namespace strait::test {

/// Fills ids and targets (where they have an extent) of a micro-batch of the run.
using RunTokens = std::function<void(std::int64_t micro_batch, MutableTokenIds ids, MutableTokenIds targets)>;

template <class T>
class AsynchronousOracle {
 public:
  /// The first `updates` updates of a run of as many.
  AsynchronousOracle(const ExecutionSpace& exec, const pipeline::PipelineSetup& setup,
                     const codec::Codec<T>& codec, const pipeline::VersionRule& rule, int updates,
                     RunTokens tokens)
      : exec_(exec),
        setup_(setup),
        rule_(rule),
        micro_batches_(std::int64_t{updates} * setup.micro_batches),
        tokens_(std::move(tokens)),
        boundaries_(setup.stages() - 1) {
    for (int s = 0; s < setup.stages(); ++s) add_stage(codec, s);
    for (int t = 0; t < updates; ++t) update(t);
  }

  std::vector<double> losses;              ///< [update]
  std::vector<std::vector<double>> norms;  ///< [update][stage]

  /// Of stage `s` after `version` updates.
  const Vector<T>& weights(int s, std::int64_t version) const { return stages_[s].versions[version]; }

 private:
  struct OneStage {
    std::unique_ptr<model::Stage<T>> stage;
    std::unique_ptr<codec::Receiver<T>> receiver;  ///< of the boundary before
    std::unique_ptr<codec::Sender<T>> sender;      ///< of the boundary behind
    std::unique_ptr<optim::Optimizer<T>> optimizer;
    std::vector<Vector<T>> versions;
    std::int64_t next_forward = 0;
  };
  /// Downwards: forward messages, and the synchronisation sent between them.
  struct Down {
    std::int64_t micro_batch;  ///< -1 for synchronisation
    codec::Message message;
  };
  struct Boundary {
    codec::MessageBounds bounds;
    std::deque<Down> down;
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
    model::StageOptions options{
        .sequences = setup_.sequences, .slots = slots, .recompute = setup_.recompute, .seed = setup_.seed};
    options.add_parameters = [&](model::ParameterLayout& layout) {
      if (one.receiver) one.receiver->add_parameters(layout);
      if (one.sender) one.sender->add_parameters(layout);
    };
    one.stage = std::make_unique<model::Stage<T>>(exec_, setup_.model, setup_.spans[s], options);
    const auto& layout = one.stage->layout();
    if (one.receiver) one.receiver->lend(layout, one.stage->weights(), one.stage->gradients());
    if (one.sender) one.sender->lend(layout, one.stage->weights(), one.stage->gradients());
    one.optimizer = optim::make_optimizer<T>(setup_.optimizer, layout, pipeline::stage_delay(rule_, s));
    one.versions.push_back(copy_of(one.stage->weights()));
    stages_.push_back(std::move(one));
  }

  Vector<T> copy_of(const Vector<T>& from) const {
    const Vector<T> to("strait::test::version", from.extent(0));
    Kokkos::deep_copy(exec_, to, from);
    return to;
  }

  codec::Context context(int s, std::int64_t b) const {
    return {.ids = stages_[s].stage->ids(static_cast<int>(b)),
            .micro_batch = b,
            .slot = static_cast<int>(b),
            .weight_version = rule_.forward(s, b),
            .training = true};
  }

  /// Stage s runs its forwards P - 1 - s micro-batches ahead of its backwards.
  void update(int t) {
    for (int s = 0; s <= last(); ++s) {
      Kokkos::deep_copy(exec_, stages_[s].stage->gradients(), T(0));
      const std::int64_t ahead = (t + std::int64_t{1}) * setup_.micro_batches + last() - s;
      for (; stages_[s].next_forward < std::min(ahead, micro_batches_); ++stages_[s].next_forward) {
        forward(s, stages_[s].next_forward);
      }
    }
    for (std::int64_t b = std::int64_t{t} * setup_.micro_batches; b < (t + 1) * setup_.micro_batches; ++b) {
      for (int s = last(); s >= 0; --s) backward(s, b);
    }
    for (int s = last(); s > 0; --s) {
      if (!stages_[s].receiver->synchronises(t)) continue;
      codec::Message message = empty_message(boundaries_[s - 1].bounds.sync_up);
      stages_[s].receiver->send_sync_up(exec_, message);
      stages_[s - 1].sender->receive_sync_up(exec_, message);
    }
    const double tokens =
        static_cast<double>(setup_.micro_batches) * static_cast<double>(stages_[0].stage->tokens());
    losses.push_back(stages_.back().stage->take_loss() / tokens);
    norms.emplace_back();
    for (int s = 0; s <= last(); ++s) norms.back().push_back(update(s, t));
  }

  void forward(int s, std::int64_t b) {
    OneStage& one = stages_[s];
    const int slot = static_cast<int>(b);
    const Vector<T>& weights = one.versions[rule_.forward(s, b)];
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

  void backward(int s, std::int64_t b) {
    OneStage& one = stages_[s];
    const double scale = 1.0 / (setup_.micro_batches * static_cast<double>(one.stage->tokens()));
    if (s < last()) {
      codec::Message message = empty_message(boundaries_[s].bounds.backward);
      OneStage& next = stages_[s + 1];
      next.receiver->encode_gradient(exec_, context(s + 1, b), next.stage->input_gradient(), message);
      one.sender->decode_gradient(exec_, context(s, b), message, one.stage->output_gradient());
    }
    one.stage->backward(static_cast<int>(b), one.versions[rule_.backward(s, b)], scale);
  }

  /// The norm of the stage's gradient.
  double update(int s, int t) {
    OneStage& one = stages_[s];
    if (one.receiver) one.receiver->project_gradients(exec_);
    if (one.sender) one.sender->project_gradients(exec_);
    const double norm = std::sqrt(kernels::sum_of_squares<T>(exec_, one.stage->gradients()));
    one.optimizer->update(exec_, one.stage->weights(), one.stage->gradients(),
                          {.step = t,
                           .learning_rate = setup_.optimizer.learning_rate,
                           .gradient_scale = setup_.optimizer.clip_factor(norm)},
                          one.versions[rule_.backward(s, std::int64_t{t} * setup_.micro_batches)]);
    const codec::UpdateInfo info{.step = t};
    if (one.receiver) one.receiver->update(exec_, info);
    if (one.sender) one.sender->update(exec_, info);
    one.versions.push_back(copy_of(one.stage->weights()));
    if (one.sender && one.sender->synchronises(t)) {
      codec::Message message = empty_message(boundaries_[s].bounds.sync_down);
      one.sender->send_sync_down(exec_, message);
      boundaries_[s].down.push_back({-1, message});
    }
    return norm;
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
