// What a model that is held in a subspace (ssn) takes beside its layers, at the sizes of
// perf/compare_small.toml and rank 128: one micro-batch each way at each end of a boundary; per step the
// projection of the gradients (and of the weights, the same again) of a stage of two layers, and the update
// of a confined matrix and of a confined table beside the free update. Counters as in codec_benchmark.cpp.

#include "strait/codec/subspace.hpp"
#include "strait/core/host_mirror.hpp"
#include "strait/kernels/adamw.hpp"
#include "strait/model/stage.hpp"

#include "copy_rate.hpp"
#include "gemm_rate.hpp"

#include <benchmark/benchmark.h>

namespace strait::codec {
namespace {

constexpr int rank = 128;
const model::LlamaConfig small{
    .layers = 8, .hidden = 512, .heads = 8, .kv_heads = 8, .ffn_hidden = 1408, .vocab = 4096, .context = 256};

SubspaceOptions options_of(Wire wire) {
  SubspaceOptions options;
  options.rank = rank;
  options.wire = wire;
  return options;
}

/// Both ends of one boundary, the sender's at a stage of two layers.
struct Boundary {
  explicit Boundary(Wire wire)
      : shape{.tokens = small.context, .hidden = small.hidden, .vocab = small.vocab},
        codec(options_of(wire)),
        sender(codec.sender(exec, shape)),
        receiver(codec.receiver(exec, shape)),
        layout(model::stage_layout(small, {1, 3, false, false},
                                   [this](model::ParameterLayout& l) { sender->add_parameters(l); })),
        weights("strait::perf::weights", layout.size()),
        gradients("strait::perf::gradients", layout.size()),
        x(perf::normal_matrix(exec, shape.tokens, shape.hidden, 1)),
        out("strait::perf::out", shape.tokens, shape.hidden) {
    kernels::fill_normal<float>(exec, gradients, 1.0, 1, 2);
    sender->lend(layout, weights, gradients);
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

  void encode() { sender->encode(exec, context, x, forward); }
  void decode() { receiver->decode(exec, context, forward, out); }
  void encode_gradient() { receiver->encode_gradient(exec, context, x, backward); }
  void decode_gradient() { sender->decode_gradient(exec, context, backward, out); }

  ExecutionSpace exec;
  BoundaryShape shape;
  SubspaceCodec<float> codec;
  std::unique_ptr<Sender<float>> sender;
  std::unique_ptr<Receiver<float>> receiver;
  model::ParameterLayout layout;
  Vector<float> weights, gradients;
  Matrix<float> x, out;
  Message forward, backward;
  Context context;
};

/// `wide_rows` of 512 and `narrow_rows` of 128 numbers are read or written at least, and U once.
void time(benchmark::State& state, void (Boundary::*direction)(), Message Boundary::*message, Wire wire,
          double wide_rows, double narrow_rows) {
  Boundary boundary(wire);
  for (auto _ : state) {
    (boundary.*direction)();
    fence(boundary.exec, "strait::perf: timed whole");
  }
  const double tokens = small.context, hidden = small.hidden;
  perf::count_flops(state, 2.0 * tokens * hidden * rank);
  perf::count_bytes(state,
                    sizeof(float) * (tokens * (hidden * wide_rows + rank * narrow_rows) + hidden * rank));
  state.counters["bytes"] = static_cast<double>((boundary.*message).size);
}

// The frozen rows are wide; what is subtracted from them is written and read once more.
void encode(benchmark::State& state, Wire wire) {
  time(state, &Boundary::encode, &Boundary::forward, wire, 4, 3);
}
void decode(benchmark::State& state, Wire wire) {
  time(state, &Boundary::decode, &Boundary::forward, wire, 4, 3);
}
void encode_gradient(benchmark::State& state, Wire wire) {
  time(state, &Boundary::encode_gradient, &Boundary::backward, wire, 1, 3);
}
void decode_gradient(benchmark::State& state, Wire wire) {
  time(state, &Boundary::decode_gradient, &Boundary::backward, wire, 1, 3);
}

#define STRAIT_EACH(f)                                                         \
  BENCHMARK_CAPTURE(f, float32, Wire::float32)->Unit(benchmark::kMicrosecond); \
  BENCHMARK_CAPTURE(f, bfloat16, Wire::bfloat16)->Unit(benchmark::kMicrosecond)
STRAIT_EACH(encode);
STRAIT_EACH(decode);
STRAIT_EACH(encode_gradient);
STRAIT_EACH(decode_gradient);
#undef STRAIT_EACH

/// g <- U U^T g for the four confined matrices of two layers.
void project(benchmark::State& state) {
  Boundary boundary(Wire::float32);
  for (auto _ : state) {
    boundary.sender->project_gradients(boundary.exec);
    fence(boundary.exec, "strait::perf: timed whole");
  }
  const double columns = 2.0 * (small.hidden + small.ffn_hidden);
  perf::count_flops(state, 4.0 * small.hidden * rank * columns);
}
BENCHMARK(project)->Unit(benchmark::kMicrosecond);

/// Weights, mean and square are read and written, the gradient is read.
void update(benchmark::State& state, std::int64_t row_count, std::int64_t column_count,
            std::optional<kernels::Vectors> vectors) {
  const ExecutionSpace exec;
  const auto w = perf::normal_matrix(exec, row_count, column_count, 1);
  const auto g = perf::normal_matrix(exec, row_count, column_count, 2);
  const Matrix<float> m("strait::perf::mean", row_count, column_count);
  const Matrix<float> v("strait::perf::square", row_count, column_count);
  const auto flat = [](const Matrix<float>& matrix) { return Vector<float>(matrix.data(), matrix.size()); };
  const kernels::AdamWOptions options{.learning_rate = 1e-3};
  for (auto _ : state) {
    if (vectors) {
      kernels::adamw_of_vectors<float>(exec, w, m, v, g, *vectors, options);
    } else {
      kernels::adamw<float>(exec, flat(w), flat(m), flat(v), flat(g), options);
    }
    fence(exec, "strait::perf: timed whole");
  }
  perf::count_bytes(state, 7.0 * sizeof(float) * static_cast<double>(row_count * column_count));
}
BENCHMARK_CAPTURE(update, down_free, 512, 1408, std::nullopt)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(update, down_confined, 512, 1408, kernels::Vectors::columns)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(update, table_free, 4096, 512, std::nullopt)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(update, table_confined, 4096, 512, kernels::Vectors::rows)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace strait::codec
