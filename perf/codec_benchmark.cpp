// One micro-batch through a boundary of the model of perf/compare_small.toml at rank 128, each way at each
// end, and what the layers of a stage take for it. Counters: operations against a large matrix product,
// `bytes` on the wire. A middle stage of two layers works at both of its ends: encode + decode_gradient +
// decode + encode_gradient, to be compared with `layers`.

#include "strait/codec/projection.hpp"
#include "strait/core/host_mirror.hpp"
#include "strait/model/stage.hpp"
#include "strait/optim/stiefel.hpp"

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
    encode();
    decode();
    encode_gradient();
    decode_gradient();
  }

  static ProjectionOptions options(AnchorKind anchors, Wire wire) {
    ProjectionOptions options;
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

  ExecutionSpace exec;
  BoundaryShape shape;
  ProjectionCodec<float> codec;
  std::unique_ptr<Sender<float>> sender;
  std::unique_ptr<Receiver<float>> receiver;
  std::vector<Vector<float>> kept;
  Matrix<float> x, g, out;
  Message forward, backward;
  Context context;
};

/// Operations per token of a product with the projector, and of one inside the subspace.
constexpr double product = 2.0 * 512 * rank;
constexpr double inner = 2.0 * rank * rank;

double operations(AnchorKind anchors, double products, double factorized_products, double inner_products) {
  const double all = anchors == AnchorKind::factorized
                         ? factorized_products * product + inner_products * inner
                         : products * product;
  return all * small.context;
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
  perf::count_flops(state, operations(anchors, 6, 8, 3));
  state.counters["bytes"] = static_cast<double>(boundary.forward.size + boundary.backward.size);
}

void encode(benchmark::State& state, AnchorKind anchors, Wire wire) {
  Boundary boundary(anchors, wire);
  for (auto _ : state) {
    boundary.encode();
    fence(boundary.exec, "strait::perf: timed whole");
  }
  perf::count_flops(state, operations(anchors, 1, 1, 1));
}

void decode(benchmark::State& state, AnchorKind anchors, Wire wire) {
  Boundary boundary(anchors, wire);
  for (auto _ : state) {
    boundary.decode();
    fence(boundary.exec, "strait::perf: timed whole");
  }
  perf::count_flops(state, operations(anchors, 1, 2, 0));
}

/// Both gradients need a forward before them, which is not timed.
void gradients(benchmark::State& state, AnchorKind anchors, Wire wire) {
  Boundary boundary(anchors, wire);
  for (auto _ : state) {
    state.PauseTiming();
    boundary.encode();
    boundary.decode();
    fence(boundary.exec, "strait::perf: what follows is timed alone");
    state.ResumeTiming();
    boundary.encode_gradient();
    boundary.decode_gradient();
    fence(boundary.exec, "strait::perf: timed whole");
  }
  perf::count_flops(state, operations(anchors, 4, 5, 2));
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
STRAIT_EACH(gradients);
STRAIT_EACH(round_trip);
BENCHMARK_CAPTURE(round_trip, full, AnchorKind::full, Wire::float32)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(round_trip, factorized_bfloat16, AnchorKind::factorized, Wire::bfloat16)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK(layers)->Arg(2)->Arg(4)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace strait::codec
