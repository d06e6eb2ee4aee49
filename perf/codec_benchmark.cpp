// One micro-batch through a boundary of the model of perf/compare_small.toml at rank 128, each way at each
// end, the exchange of the projector, and what the layers of a stage take for the micro-batch. A middle stage
// of two layers works at both of its ends: encode + decode_gradient + decode + encode_gradient, to be
// compared with `layers`. Counters: `of_gemm`, operations against a large matrix product; `of_copy`, what has
// to be read and written at least, against a copy of as much; `bytes` on the wire.

#include "strait/codec/projection.hpp"
#include "strait/core/host_mirror.hpp"
#include "strait/model/stage.hpp"
#include "strait/optim/stiefel.hpp"

#include "copy_rate.hpp"
#include "gemm_rate.hpp"

#include <benchmark/benchmark.h>

namespace strait::codec {
namespace {

constexpr int rank = 128;
const model::LlamaConfig small{
    .layers = 8, .hidden = 512, .heads = 8, .kv_heads = 8, .ffn_hidden = 1408, .vocab = 4096, .context = 256};

/// Both ends of one boundary with memory for their anchors.
struct Boundary {
  explicit Boundary(AnchorKind anchors, Wire wire)
      : shape{.tokens = small.context, .hidden = small.hidden, .vocab = small.vocab, .micro_batches = 8},
        codec(options(anchors, wire)),
        sender(codec.sender(exec, shape)),
        receiver(codec.receiver(exec, shape)),
        x(perf::normal_matrix(exec, shape.tokens, shape.hidden, 1)),
        g(perf::normal_matrix(exec, shape.tokens, shape.hidden, 2)),
        out("strait::perf::out", shape.tokens, shape.hidden) {
    lend(*sender);
    lend(*receiver);
    forward.bytes = Vector<std::uint8_t>("strait::perf::forward", codec.bounds(shape).forward);
    backward.bytes = Vector<std::uint8_t>("strait::perf::backward", codec.bounds(shape).backward);
    context.ids = MutableTokenIds("strait::perf::ids", shape.tokens);
    auto ids = to_host(exec, context.ids);
    for (std::size_t t = 0; t < ids.size(); ++t) ids(t) = static_cast<std::int32_t>(t * 7919 % small.vocab);
    to_device(exec, context.ids, ids);
    sync.bytes = Vector<std::uint8_t>("strait::perf::sync", codec.bounds(shape).sync_up);
    encode();
    decode();
    encode_gradient();
    decode_gradient();
  }

  static ProjectionOptions options(AnchorKind anchors, Wire wire) {
    ProjectionOptions options;
    options.interval = 1;
    options.rank = rank;
    options.wire = wire;
    options.anchors = anchors;
    options.rule = optim::spel;
    return options;
  }

  void lend(End<float>& end) {
    model::ParameterLayout layout;
    end.add_parameters(layout);
    kept.emplace_back("strait::perf::weights", layout.size());
    kept.emplace_back("strait::perf::gradients", layout.size());
    end.lend(layout, kept[kept.size() - 2], kept.back());
  }

  void encode() { sender->encode(exec, context, x, forward); }
  void decode() { receiver->decode(exec, context, forward, out); }
  void encode_gradient() { receiver->encode_gradient(exec, context, g, backward); }
  void decode_gradient() { sender->decode_gradient(exec, context, backward, out); }
  /// The receiver's half of dA up and a projector down, without its update.
  void exchange() {
    receiver->send_sync_up(exec, sync);
    sender->receive_sync_up(exec, sync);
    sender->send_sync_down(exec, sync);
    receiver->receive_sync_down(exec, sync);
  }

  ExecutionSpace exec;
  BoundaryShape shape;
  ProjectionCodec<float> codec;
  std::unique_ptr<Sender<float>> sender;
  std::unique_ptr<Receiver<float>> receiver;
  std::vector<Vector<float>> kept;
  Matrix<float> x, g, out;
  Message forward, backward, sync;
  Context context;
};

/// Of one of the four directions with or without factorised anchors, per token: products with a projector
/// [512, 128], products inside the subspace, and rows of 512 and of 128 numbers that are read or written.
struct Work {
  double products, inner_products, wide_rows, narrow_rows;
};

struct Direction {
  void (Boundary::*run)();
  std::vector<void (Boundary::*)()> before;  ///< what has to happen for it, not timed
  Message Boundary::*message;
  Work plain, factorized;
  double projectors;  ///< matrices [512, 128] that are read or written whole
};

// Of a message at both its sides, code and anchor rows are narrow, what belongs to the residual stream wide.
const Direction encode_direction{&Boundary::encode, {}, &Boundary::forward, {1, 0, 1, 2}, {1, 1, 1, 5}, 1};
const Direction decode_direction{&Boundary::decode, {&Boundary::encode}, &Boundary::forward,
                                 {1, 0, 1, 2},      {2, 0, 1, 4},        1};
const Direction encode_gradient_direction{&Boundary::encode_gradient,
                                          {&Boundary::encode, &Boundary::decode},
                                          &Boundary::backward,
                                          {2, 0, 1, 3},
                                          {3, 0, 1, 6},
                                          3};
const Direction decode_gradient_direction{&Boundary::decode_gradient,
                                          {&Boundary::encode, &Boundary::decode, &Boundary::encode_gradient},
                                          &Boundary::backward,
                                          {2, 0, 2, 2},
                                          {2, 2, 2, 6},
                                          3};

void time(benchmark::State& state, const Direction& direction, AnchorKind anchors, Wire wire) {
  Boundary boundary(anchors, wire);
  for (auto _ : state) {
    state.PauseTiming();
    for (const auto step : direction.before) (boundary.*step)();
    fence(boundary.exec, "strait::perf: what follows is timed alone");
    state.ResumeTiming();
    (boundary.*direction.run)();
    fence(boundary.exec, "strait::perf: timed whole");
  }
  const Work& work = anchors == AnchorKind::factorized ? direction.factorized : direction.plain;
  const double tokens = small.context, hidden = small.hidden;
  perf::count_flops(state, tokens * 2.0 * rank * (hidden * work.products + rank * work.inner_products));
  perf::count_bytes(state, sizeof(float) * (tokens * (hidden * work.wide_rows + rank * work.narrow_rows) +
                                            hidden * rank * direction.projectors));
  state.counters["bytes"] = static_cast<double>((boundary.*direction.message).size);
}

void encode(benchmark::State& state, AnchorKind anchors, Wire wire) {
  time(state, encode_direction, anchors, wire);
}
void decode(benchmark::State& state, AnchorKind anchors, Wire wire) {
  time(state, decode_direction, anchors, wire);
}
void encode_gradient(benchmark::State& state, AnchorKind anchors, Wire wire) {
  time(state, encode_gradient_direction, anchors, wire);
}
void decode_gradient(benchmark::State& state, AnchorKind anchors, Wire wire) {
  time(state, decode_gradient_direction, anchors, wire);
}

void round_trip(benchmark::State& state, AnchorKind anchors, Wire wire) {
  Boundary boundary(anchors, wire);
  for (auto _ : state) {
    boundary.encode();
    boundary.decode();
    boundary.encode_gradient();
    boundary.decode_gradient();
    fence(boundary.exec, "strait::perf: all four are timed whole");
  }
  state.counters["bytes"] = static_cast<double>(boundary.forward.size + boundary.backward.size);
}

void exchange(benchmark::State& state) {
  Boundary boundary(AnchorKind::factorized, Wire::float32);
  for (auto _ : state) {
    state.PauseTiming();
    for (const auto step : decode_gradient_direction.before) (boundary.*step)();
    fence(boundary.exec, "strait::perf: what follows is timed alone");
    state.ResumeTiming();
    boundary.exchange();
    fence(boundary.exec, "strait::perf: timed whole");
  }
  // Each message is written from one matrix and read into one; the receiver then transposes.
  const auto bytes = static_cast<double>(boundary.sync.size);
  perf::count_bytes(state, 10 * bytes);
  state.counters["bytes"] = 2 * bytes;
}

/// Forward and backward of a middle stage of as many layers as the argument, one micro-batch.
void layers(benchmark::State& state) {
  const ExecutionSpace exec;
  const int count = static_cast<int>(state.range(0));
  model::Stage<float> stage(exec, small, {1, 1 + count, false, false}, {});
  kernels::fill_normal<float>(exec, Vector<float>(stage.input(0).data(), stage.input(0).size()), 1.0, 1, 1);
  const auto take_step = [&] {
    stage.forward(0, stage.weights());
    kernels::copy<float>(exec, stage.output_gradient(), stage.output(0));
    stage.backward(0, stage.weights(), 1.0);
    fence(exec, "strait::perf: forward and backward are timed whole");
  };
  take_step();
  for (auto _ : state) take_step();
}

#define STRAIT_EACH(f)                                                                                    \
  BENCHMARK_CAPTURE(f, factorized, AnchorKind::factorized, Wire::float32)->Unit(benchmark::kMicrosecond); \
  BENCHMARK_CAPTURE(f, none, AnchorKind::none, Wire::float32)->Unit(benchmark::kMicrosecond)
STRAIT_EACH(encode);
STRAIT_EACH(decode);
STRAIT_EACH(encode_gradient);
STRAIT_EACH(decode_gradient);
STRAIT_EACH(round_trip);
BENCHMARK(exchange)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(round_trip, full, AnchorKind::full, Wire::float32)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(round_trip, factorized_bfloat16, AnchorKind::factorized, Wire::bfloat16)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK(layers)->Arg(2)->Arg(4)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace strait::codec
