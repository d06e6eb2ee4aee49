#include "strait/kernels/elementwise.hpp"
#include "strait/pipeline/loopback_transport.hpp"
#include "strait/pipeline/profiler.hpp"
#include "strait/pipeline/stage_unit.hpp"

#include "random_tokens.hpp"
#include "repetition.hpp"

#include <cmath>

namespace strait::pipeline {
namespace {

/// Two stages of one block each, as the model's own are but for their number.
PipelineSetup two_stages(PipelineSetup setup) {
  setup.model.layers = 2;
  setup.model.tie_embeddings = false;  // not a matter of the boundary
  setup.spans = model::split_layers(setup.model, 2, {1, 1});
  setup.schedule = "1f1b";
  setup.chunks = 1;
  setup.replicas = {};
  return setup;
}

template <class T>
void fill(const ExecutionSpace& exec, const Matrix<T>& x, std::uint64_t stream) {
  ensure(x.span_is_contiguous(), "activations of a stage lie without gaps");
  kernels::fill_normal<T>(exec, Vector<T>(x.data(), x.size()), 1.0, 1, stream);
}

/// Runs a boundary without the layers beside it, micro-batch by micro-batch, step by step.
template <class T>
class LoneBoundary {
 public:
  LoneBoundary(const ExecutionSpace& exec, const PipelineSetup& setup, const codec::Codec<T>& codec)
      : exec_(exec),
        setup_(two_stages(setup)),
        plan_(setup_),
        transports_(loopback_transports(exec, 2, 1)),
        first_(exec, setup_, plan_, 0, codec, *transports_[0]),
        second_(exec, setup_, plan_, 1, codec, *transports_[1]) {
    random_tokens(exec, first_.stage().ids(0), setup.model.vocab, 0);
    fill<T>(exec, first_.stage().output(0), 0);
    fill<T>(exec, second_.stage().input_gradient(), 1);
  }

  /// Steps from one synchronisation to the next; 1 where the ends never synchronise.
  int period() {
    constexpr int longest = 1000;
    int last = -1;
    for (int step = 0; step < longest; ++step) {
      if (!sender().end().synchronises(step)) continue;
      if (last >= 0) return step - last;
      last = step;
    }
    return 1;
  }

  /// Adds the times of a step; returns those of its update, of both ends.
  double step(std::vector<double>& encode, std::vector<double>& decode, std::vector<double>& encode_gradient,
              std::vector<double>& decode_gradient) {
    Kokkos::deep_copy(exec_, first_.stage().gradients(), T(0));
    Kokkos::deep_copy(exec_, second_.stage().gradients(), T(0));
    fence(exec_, "strait::pipeline::profile_boundary: a step begins");
    std::vector<Arrival> from_first, from_second;
    for (int b = 0; b < setup_.micro_batches; ++b) {
      from_first.push_back({step_ * setup_.micro_batches + b, 0});
      from_second.push_back({step_ * setup_.micro_batches + b, 1});
    }
    first_.begin({.forward = {}, .backward = from_second}, step_, Crossing::encoded);
    second_.begin({.forward = from_first, .backward = {}}, step_, Crossing::encoded);
    for (int b = 0; b < setup_.micro_batches; ++b) {
      const codec::Context from = context(first_, b), to = context(second_, b);
      const CodecSeconds sent = sender().seconds(), received = receiver().seconds();
      done(sender().send(from, 1, first_.stage().output(0)));
      done(receiver().receive(to, second_.stage().input(0)));
      done(receiver().send(to, 0, second_.stage().input_gradient()));
      done(sender().receive(from, first_.stage().output_gradient()));
      fence(exec_, "strait::pipeline::profile_boundary: the timers are read next");
      encode.push_back(sender().seconds().encode - sent.encode);
      decode.push_back(receiver().seconds().decode - received.decode);
      encode_gradient.push_back(receiver().seconds().encode - received.encode);
      decode_gradient.push_back(sender().seconds().decode - sent.decode);
    }
    return update();
  }

  /// Bytes since the last call, of the end that sends activations and of the other.
  std::pair<BoundaryBytes, BoundaryBytes> take_sent() {
    return {transports_[0]->take_sent().boundaries[0], transports_[1]->take_sent().boundaries[0]};
  }
  std::int64_t steps() const { return step_; }

 private:
  DownstreamEnd<T>& sender() { return first_.downstream(); }
  UpstreamEnd<T>& receiver() { return second_.upstream(); }
  static void done(bool did) { ensure(did, "both ends are in one process: no message is waited for"); }

  codec::Context context(StageUnit<T>& unit, int micro_batch) const {
    return {.ids = unit.stage().ids(0),
            .micro_batch = step_ * setup_.micro_batches + micro_batch,
            .slot = 0,
            .weight_version = step_,
            .training = true};
  }

  /// What the ends do once per step.
  double update() {
    const auto seconds = [&] {
      fence(exec_, "strait::pipeline::profile_boundary: the timers are read next");
      const CodecSeconds a = sender().seconds(), b = receiver().seconds();
      return a.encode + a.decode + a.update + b.encode + b.decode + b.update;
    };
    const double before = seconds();
    done(receiver().send_sync(step_, 0));
    done(sender().receive_sync(step_));
    const Stopwatch watch;
    first_.project_gradients();
    second_.project_gradients();
    fence(exec_, "strait::pipeline::profile_boundary: the clock is read next");
    const double projected = watch.seconds();
    const codec::UpdateInfo info{.step = step_};
    sender().update(info);
    receiver().update(info);
    done(sender().send_sync(step_, 1));
    done(receiver().receive_sync(step_));
    ++step_;
    return projected + seconds() - before;
  }

  ExecutionSpace exec_;
  PipelineSetup setup_;
  TrainingPlan plan_;
  std::vector<std::unique_ptr<Transport>> transports_;
  StageUnit<T> first_, second_;
  std::int64_t step_ = 0;
};

}  // namespace

template <class T>
BoundaryProfile measure_boundary(const ExecutionSpace& exec, const PipelineSetup& setup,
                                 const codec::Codec<T>& codec, const Effort& effort) {
  LoneBoundary<T> boundary(exec, setup, codec);
  const int period = boundary.period();
  std::vector<double> encode, decode, encode_gradient, decode_gradient, update;
  std::int64_t first_step = 0;
  repeat(effort, [&](bool counts) {
    double sum = 0.0;
    for (int i = 0; i < period; ++i) sum += boundary.step(encode, decode, encode_gradient, decode_gradient);
    if (counts) {
      update.push_back(sum / period);
      return;
    }
    for (auto* times : {&encode, &decode, &encode_gradient, &decode_gradient}) times->clear();
    boundary.take_sent();
    first_step = boundary.steps();
  });

  const auto [down, up] = boundary.take_sent();
  const auto steps = static_cast<double>(boundary.steps() - first_step);
  const double micro_batches = steps * setup.micro_batches;
  return {.codec = "",
          .encode = summary(encode),
          .decode = summary(decode),
          .encode_gradient = summary(encode_gradient),
          .decode_gradient = summary(decode_gradient),
          .update = summary(update),
          .bytes_forward = std::llround(static_cast<double>(down.forward) / micro_batches),
          .bytes_backward = std::llround(static_cast<double>(up.backward) / micro_batches),
          .bytes_sync_up = static_cast<double>(up.sync) / steps,
          .bytes_sync_down = static_cast<double>(down.sync) / steps};
}

template BoundaryProfile measure_boundary<float>(const ExecutionSpace&, const PipelineSetup&,
                                                 const codec::Codec<float>&, const Effort&);
template BoundaryProfile measure_boundary<double>(const ExecutionSpace&, const PipelineSetup&,
                                                  const codec::Codec<double>&, const Effort&);

}  // namespace strait::pipeline
