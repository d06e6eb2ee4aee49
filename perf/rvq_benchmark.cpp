// Quantisation of a boundary of the model of perf/compare_small.toml at rank 128 with 8 groups, 2 rounds and
// 256 codewords. Counters: operations of the distances, 2 N K rank rounds, against a large matrix product;
// `bytes` on the wire. The round trip is to be compared with `layers` of codec_benchmark.

#include "strait/codec/projection.hpp"
#include "strait/core/host_mirror.hpp"
#include "strait/kernels/code_indices.hpp"
#include "strait/kernels/codeword_statistics.hpp"

#include "gemm_rate.hpp"

#include <benchmark/benchmark.h>

namespace strait::codec {
namespace {

constexpr int rank = 128, rounds = 2, hidden = 512, vocab = 4096;
constexpr kernels::CodebookShape shape{8, 256, 16};

double distance_flops(std::int64_t tokens) { return 2.0 * tokens * shape.codewords * rank * rounds; }

/// One direction's kernels on `tokens` tokens.
struct Quantiser {
  explicit Quantiser(std::int64_t tokens)
      : z(perf::normal_matrix(exec, tokens, rank, 1)),
        codewords(perf::normal_matrix(exec, rounds * shape.all_codewords(), shape.width, 2)),
        residuals(kernels::make_tiles<float>(tokens, rank)),
        indices("strait::perf::indices", rounds * shape.groups, tokens),
        statistics(rounds * shape.all_codewords(), shape.width),
        bytes("strait::perf::bytes", kernels::packed_index_bytes(tokens * rounds * shape.groups, 256)) {}

  void search(bool with_statistics) {
    kernels::to_tiles<float>(exec, residuals, z);
    for (int round = 0; round < rounds; ++round) {
      const auto own = rows(codewords, round * shape.all_codewords(), (round + 1) * shape.all_codewords());
      const auto found = rows(indices, round * shape.groups, (round + 1) * shape.groups);
      kernels::nearest_codewords<float>(exec, found, residuals, own, shape, kernels::Residual::subtract);
      if (!with_statistics) continue;
      kernels::add_statistics<float>(
          exec, statistics.part(round * shape.all_codewords(), (round + 1) * shape.all_codewords()), found,
          residuals, own, shape, kernels::Residual::subtract);
    }
  }

  ExecutionSpace exec;
  Matrix<float> z, codewords, residuals;
  kernels::CodeIndices indices;
  kernels::CodewordStatistics statistics;
  Vector<std::uint8_t> bytes;
};

void search(benchmark::State& state) {
  Quantiser quantiser(state.range(0));
  for (auto _ : state) {
    quantiser.search(false);
    fence(quantiser.exec, "strait::perf: timed whole");
  }
  perf::count_flops(state, distance_flops(state.range(0)));
}

void search_with_statistics(benchmark::State& state) {
  Quantiser quantiser(state.range(0));
  for (auto _ : state) {
    quantiser.search(true);
    fence(quantiser.exec, "strait::perf: timed whole");
  }
  perf::count_flops(state, distance_flops(state.range(0)));
}

void pack_indices(benchmark::State& state) {
  Quantiser quantiser(state.range(0));
  for (auto _ : state) {
    kernels::pack_indices(quantiser.exec, quantiser.bytes, 0, quantiser.indices, shape);
    fence(quantiser.exec, "strait::perf: timed whole");
  }
}

void gather_codewords(benchmark::State& state) {
  Quantiser quantiser(state.range(0));
  for (auto _ : state) {
    kernels::gather_codewords<float>(quantiser.exec, quantiser.z, quantiser.bytes, 0, quantiser.codewords,
                                     shape, rounds);
    fence(quantiser.exec, "strait::perf: timed whole");
  }
}

/// Encode, decode and both gradients of one micro-batch, with what is done once a step.
void round_trip(benchmark::State& state, bool quantised, GradientFormat backward) {
  const ExecutionSpace exec;
  ProjectionOptions options;
  options.rank = rank;
  options.wire = Wire::bfloat16;
  options.anchors = AnchorKind::factorized;
  options.rule = "spel";
  if (quantised) {
    RvqOptions rvq;
    rvq.groups = shape.groups;
    rvq.rounds = rounds;
    rvq.codewords = shape.codewords;
    rvq.backward = backward;
    options.rvq = rvq;
  }
  const std::int64_t tokens = state.range(0);
  const BoundaryShape boundary{.tokens = tokens, .hidden = hidden, .vocab = vocab, .micro_batches = 8};
  const ProjectionCodec<float> codec(options);
  const auto sender = codec.sender(exec, boundary);
  const auto receiver = codec.receiver(exec, boundary);
  std::vector<Vector<float>> kept;
  const auto lend = [&](End<float>& end) {
    model::ParameterLayout layout;
    end.add_parameters(layout);
    kept.emplace_back("strait::perf::weights", layout.size());
    kept.emplace_back("strait::perf::gradients", layout.size());
    end.lend(layout, kept[kept.size() - 2], kept.back());
  };
  lend(*sender);
  lend(*receiver);
  Message forward, back;
  forward.bytes = Vector<std::uint8_t>("strait::perf::forward", codec.bounds(boundary).forward);
  back.bytes = Vector<std::uint8_t>("strait::perf::backward", codec.bounds(boundary).backward);
  Context context;
  context.ids = MutableTokenIds("strait::perf::ids", tokens);
  auto ids = to_host(exec, context.ids);
  for (std::size_t t = 0; t < ids.size(); ++t) ids(t) = static_cast<std::int32_t>(t * 7919 % vocab);
  to_device(exec, context.ids, ids);
  const auto x = perf::normal_matrix(exec, tokens, hidden, 1);
  const Matrix<float> y("strait::perf::y", tokens, hidden), dx("strait::perf::dx", tokens, hidden);
  const auto trip = [&] {
    sender->encode(exec, context, x, forward);
    receiver->decode(exec, context, forward, y);
    receiver->encode_gradient(exec, context, x, back);
    sender->decode_gradient(exec, context, back, dx);
    ++context.micro_batch;
    fence(exec, "strait::perf: all four are timed whole");
  };
  trip();
  for (auto _ : state) trip();
  state.counters["bytes"] = static_cast<double>(forward.size + back.size);
}

BENCHMARK(search)->Arg(256)->Arg(1024)->Unit(benchmark::kMicrosecond);
BENCHMARK(search_with_statistics)->Arg(256)->Arg(1024)->Unit(benchmark::kMicrosecond);
BENCHMARK(pack_indices)->Arg(1024)->Unit(benchmark::kMicrosecond);
BENCHMARK(gather_codewords)->Arg(1024)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(round_trip, mapl, false, GradientFormat::bfloat16)
    ->Arg(256)
    ->Arg(1024)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(round_trip, bfloat16, true, GradientFormat::bfloat16)
    ->Arg(256)
    ->Arg(1024)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(round_trip, int8, true, GradientFormat::int8)->Arg(256)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(round_trip, rvq, true, GradientFormat::rvq)->Arg(256)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace strait::codec
