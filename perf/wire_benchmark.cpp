// Encoding and decoding [tokens, 512] by the codecs that look at each activation by itself: none, int8, int4,
// int2 and topk. Counters: `of_copy`, the rate of bytes read and written against a copy of as many; `gflops`,
// of the operations on numbers (a maximum, a product and a rounding to quantise, a product to read); `bytes`
// on the wire. 256 tokens, a micro-batch of perf/compare_small.toml, stay in a core's cache, 16,384 do not.

#include "strait/codec/none.hpp"
#include "strait/codec/quantised.hpp"
#include "strait/codec/top_k.hpp"

#include "copy_rate.hpp"
#include "gemm_rate.hpp"

#include <benchmark/benchmark.h>

namespace strait::codec {
namespace {

constexpr int hidden = 512;

/// Both ends of one boundary.
struct Boundary {
  Boundary(const Codec<float>& codec, std::int64_t tokens)
      : shape{.tokens = tokens, .hidden = hidden},
        sender(codec.sender(exec, shape)),
        receiver(codec.receiver(exec, shape)),
        x(perf::normal_matrix(exec, tokens, hidden, 1)),
        out("strait::perf::out", tokens, hidden) {
    forward.bytes = Vector<std::uint8_t>("strait::perf::forward", codec.bounds(shape).forward);
    backward.bytes = Vector<std::uint8_t>("strait::perf::backward", codec.bounds(shape).backward);
    encode();
    decode();
    encode_gradient();
    decode_gradient();
  }

  void encode() { sender->encode(exec, {}, x, forward); }
  void decode() { receiver->decode(exec, {}, forward, out); }
  void encode_gradient() { receiver->encode_gradient(exec, {}, x, backward); }
  void decode_gradient() { sender->decode_gradient(exec, {}, backward, out); }

  ExecutionSpace exec;
  BoundaryShape shape;
  std::unique_ptr<Sender<float>> sender;
  std::unique_ptr<Receiver<float>> receiver;
  Matrix<float> x, out;
  Message forward, backward;
};

/// Times `what` of a boundary; `operations` for each entry.
template <class Codec>
void time(benchmark::State& state, const Codec& codec, void (Boundary::*what)(), Message Boundary::*message,
          double operations) {
  Boundary boundary(codec, state.range(0));
  for (auto _ : state) {
    (boundary.*what)();
    fence(boundary.exec, "strait::perf: timed whole");
  }
  const auto entries = static_cast<double>(boundary.x.size());
  const auto size = static_cast<double>((boundary.*message).size);
  perf::count_bytes(state, entries * sizeof(float) + size);
  state.counters["gflops"] =
      benchmark::Counter(1e-9 * operations * entries, benchmark::Counter::kIsIterationInvariantRate);
  state.counters["bytes"] = size;
}

NoneCodec<float> none(Wire wire) { return NoneCodec<float>(wire); }
QuantisedCodec<float> integers(int bits, Wire wire) {
  return QuantisedCodec<float>({.bits = bits, .group_size = 64, .wire = wire});
}
TopKCodec<float> top(int k) { return TopKCodec<float>({.k = k, .wire = Wire::bfloat16}); }

void encode_none(benchmark::State& state, Wire wire) {
  time(state, none(wire), &Boundary::encode, &Boundary::forward, 0);
}
void decode_none(benchmark::State& state, Wire wire) {
  time(state, none(wire), &Boundary::decode, &Boundary::forward, 0);
}
void encode_integers(benchmark::State& state, int bits, Wire wire) {
  time(state, integers(bits, wire), &Boundary::encode, &Boundary::forward, 3);
}
void decode_integers(benchmark::State& state, int bits, Wire wire) {
  time(state, integers(bits, wire), &Boundary::decode, &Boundary::forward, 1);
}
void encode_top_k(benchmark::State& state, int k) {
  time(state, top(k), &Boundary::encode, &Boundary::forward, 0);
}
void decode_top_k(benchmark::State& state, int k) {
  time(state, top(k), &Boundary::decode, &Boundary::forward, 0);
}
void encode_gradient_top_k(benchmark::State& state, int k) {
  time(state, top(k), &Boundary::encode_gradient, &Boundary::backward, 0);
}
void decode_gradient_top_k(benchmark::State& state, int k) {
  time(state, top(k), &Boundary::decode_gradient, &Boundary::backward, 0);
}

#define STRAIT_TIME(f, ...) \
  BENCHMARK_CAPTURE(f, __VA_ARGS__)->Arg(256)->Arg(16384)->Unit(benchmark::kMicrosecond)
STRAIT_TIME(encode_none, bfloat16, Wire::bfloat16);
STRAIT_TIME(decode_none, bfloat16, Wire::bfloat16);
STRAIT_TIME(encode_integers, int8, 8, Wire::bfloat16);
STRAIT_TIME(decode_integers, int8, 8, Wire::bfloat16);
STRAIT_TIME(encode_integers, int4, 4, Wire::bfloat16);
STRAIT_TIME(decode_integers, int4, 4, Wire::bfloat16);
STRAIT_TIME(encode_integers, int2, 2, Wire::bfloat16);
STRAIT_TIME(decode_integers, int2, 2, Wire::bfloat16);
STRAIT_TIME(encode_top_k, 64, 64);
STRAIT_TIME(decode_top_k, 64, 64);
STRAIT_TIME(encode_gradient_top_k, 64, 64);
STRAIT_TIME(decode_gradient_top_k, 64, 64);

}  // namespace
}  // namespace strait::codec
