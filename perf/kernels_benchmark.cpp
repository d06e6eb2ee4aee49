// The kernels of a LLaMA block in float32 at hidden 512, ffn 1408, 2048 tokens and vocabulary 4096. Products
// count floating-point operations, everything else bytes.

#include "strait/core/host_mirror.hpp"
#include "strait/core/random.hpp"
#include "strait/kernels/adamw.hpp"
#include "strait/kernels/elementwise.hpp"
#include "strait/kernels/embedding.hpp"
#include "strait/kernels/rms_norm.hpp"
#include "strait/kernels/rope.hpp"
#include "strait/kernels/swiglu.hpp"

#include "copy_rate.hpp"
#include "gemm_rate.hpp"

#include <benchmark/benchmark.h>

namespace strait::kernels {
namespace {

constexpr std::int64_t tokens = 2048, hidden = 512, ffn = 1408, vocab = 4096;
constexpr std::int64_t sequence_length = 256, heads = 8, head_dim = 64;
constexpr double word = sizeof(float);

using perf::normal_matrix;

/// Times f(exec), waiting for each call.
template <class F>
void time(benchmark::State& state, const F& f) {
  const ExecutionSpace exec;
  f(exec);
  for (auto _ : state) {
    f(exec);
    fence(exec, "strait::perf: each call is timed whole");
  }
}

Vector<float> normal_vector(std::int64_t size, std::uint64_t stream) {
  const ExecutionSpace exec;
  const Vector<float> v("strait::perf::vector", size);
  fill_normal<float>(exec, v, 1.0, 1, stream);
  return v;
}

void linear_forward(benchmark::State& state, std::int64_t out, std::int64_t in) {
  const ExecutionSpace exec;
  const auto x = normal_matrix(exec, tokens, in, 1), weight = normal_matrix(exec, out, in, 2);
  const auto y = normal_matrix(exec, tokens, out, 3);
  time(state, [&](const ExecutionSpace& e) { kernels::linear_forward<float>(e, y, x, weight); });
  perf::count_flops(state, 2.0 * tokens * out * in);
}

void linear_backward_input(benchmark::State& state, std::int64_t out, std::int64_t in) {
  const ExecutionSpace exec;
  const auto dx = normal_matrix(exec, tokens, in, 1), weight = normal_matrix(exec, out, in, 2);
  const auto dy = normal_matrix(exec, tokens, out, 3);
  time(state, [&](const ExecutionSpace& e) { kernels::linear_backward_input<float>(e, dx, dy, weight); });
  perf::count_flops(state, 2.0 * tokens * out * in);
}

void linear_backward_weight(benchmark::State& state, std::int64_t out, std::int64_t in) {
  const ExecutionSpace exec;
  const auto x = normal_matrix(exec, tokens, in, 1), dweight = normal_matrix(exec, out, in, 2);
  const auto dy = normal_matrix(exec, tokens, out, 3);
  time(state, [&](const ExecutionSpace& e) { kernels::linear_backward_weight<float>(e, dweight, dy, x); });
  perf::count_flops(state, 2.0 * tokens * out * in);
}

/// The overhead of a call shows here.
void matmul_tile(benchmark::State& state) {
  const ExecutionSpace exec;
  const std::int64_t n = state.range(0);
  const auto a = normal_matrix(exec, n, n, 1), b = normal_matrix(exec, n, n, 2),
             c = normal_matrix(exec, n, n, 3);
  time(state, [&](const ExecutionSpace& e) { matmul<float>(e, c, a, b, {.b = Transpose::yes}); });
  perf::count_flops(state, 2.0 * n * n * n);
}

void rms_norm_forward(benchmark::State& state) {
  const ExecutionSpace exec;
  const auto x = normal_matrix(exec, tokens, hidden, 1), y = normal_matrix(exec, tokens, hidden, 2);
  const auto rstd = normal_vector(tokens, 3), gain = normal_vector(hidden, 4);
  time(state, [&](const ExecutionSpace& e) { kernels::rms_norm_forward<float>(e, y, rstd, x, gain, 1e-5); });
  perf::count_bytes(state, 2 * word * tokens * hidden);
}

void add_rms_norm_forward(benchmark::State& state) {
  const ExecutionSpace exec;
  const auto x = normal_matrix(exec, tokens, hidden, 1), y = normal_matrix(exec, tokens, hidden, 2);
  const auto branch = normal_matrix(exec, tokens, hidden, 3, 1e-20);
  const auto rstd = normal_vector(tokens, 4), gain = normal_vector(hidden, 5);
  time(state, [&](const ExecutionSpace& e) {
    kernels::add_rms_norm_forward<float>(e, y, rstd, x, branch, gain, 1e-5);
  });
  perf::count_bytes(state, 4 * word * tokens * hidden);
}

void rms_norm_backward_input(benchmark::State& state) {
  const ExecutionSpace exec;
  const auto x = normal_matrix(exec, tokens, hidden, 1), dx = normal_matrix(exec, tokens, hidden, 2);
  const auto dy = normal_matrix(exec, tokens, hidden, 3), residual = normal_matrix(exec, tokens, hidden, 4);
  const auto rstd = normal_vector(tokens, 5), gain = normal_vector(hidden, 6);
  time(state, [&](const ExecutionSpace& e) {
    kernels::rms_norm_backward_input<float>(e, dx, dy, residual, x, rstd, gain);
  });
  perf::count_bytes(state, 4 * word * tokens * hidden);
}

void rms_norm_backward_weight(benchmark::State& state) {
  const ExecutionSpace exec;
  const auto x = normal_matrix(exec, tokens, hidden, 1), dy = normal_matrix(exec, tokens, hidden, 2);
  const auto rstd = normal_vector(tokens, 3), dgain = normal_vector(hidden, 4);
  time(state,
       [&](const ExecutionSpace& e) { kernels::rms_norm_backward_weight<float>(e, dgain, dy, x, rstd); });
  perf::count_bytes(state, 2 * word * tokens * hidden);
}

void rope_forward(benchmark::State& state) {
  const ExecutionSpace exec;
  const auto x = normal_matrix(exec, tokens, heads * head_dim, 1);
  const Matrix<float> table("strait::perf::table", sequence_length, head_dim);
  rope_table<float>(exec, table, 1e4);
  time(state, [&](const ExecutionSpace& e) {
    rope<float>(e, x, table, heads, head_dim, sequence_length, Rotation::forward);
  });
  perf::count_bytes(state, 2 * word * tokens * heads * head_dim);
}

void swiglu_forward(benchmark::State& state) {
  const ExecutionSpace exec;
  const auto gate_up = normal_matrix(exec, tokens, 2 * ffn, 1), y = normal_matrix(exec, tokens, ffn, 2);
  time(state, [&](const ExecutionSpace& e) { kernels::swiglu_forward<float>(e, y, gate_up); });
  perf::count_bytes(state, 3 * word * tokens * ffn);
}

void swiglu_backward(benchmark::State& state) {
  const ExecutionSpace exec;
  const auto gate_up = normal_matrix(exec, tokens, 2 * ffn, 1), y = normal_matrix(exec, tokens, ffn, 2);
  const auto dy = normal_matrix(exec, tokens, ffn, 3), dgate_up = normal_matrix(exec, tokens, 2 * ffn, 4);
  time(state, [&](const ExecutionSpace& e) { kernels::swiglu_backward<float>(e, dgate_up, y, gate_up, dy); });
  perf::count_bytes(state, 6 * word * tokens * ffn);
}

/// Ids with the unevenness of language: the cube of a uniform number.
TokenIds uneven_ids(std::int64_t ids_below) {
  const ExecutionSpace exec;
  const MutableTokenIds ids("strait::perf::ids", tokens);
  auto host = to_host(exec, ids);
  const Philox random(1, 0);
  for (std::int64_t t = 0; t < tokens; ++t) {
    const double u = random.uniform(t);
    host(t) = static_cast<std::int32_t>(u * u * u * ids_below);
  }
  to_device(exec, ids, host);
  return ids;
}

void embedding_forward(benchmark::State& state) {
  const ExecutionSpace exec;
  const auto x = normal_matrix(exec, tokens, hidden, 1),
             table = normal_matrix(exec, state.range(0), hidden, 2);
  const auto ids = uneven_ids(state.range(0));
  time(state, [&](const ExecutionSpace& e) { kernels::embedding_forward<float>(e, x, table, ids); });
  perf::count_bytes(state, 2 * word * tokens * hidden);
}

void embedding_backward(benchmark::State& state) {
  const ExecutionSpace exec;
  const auto dx = normal_matrix(exec, tokens, hidden, 1);
  const auto dtable = normal_matrix(exec, state.range(0), hidden, 2);
  const auto ids = uneven_ids(state.range(0));
  time(state, [&](const ExecutionSpace& e) { kernels::embedding_backward<float>(e, dtable, dx, ids); });
  perf::count_bytes(state, 3 * word * tokens * hidden);
}

void add(benchmark::State& state) {
  const ExecutionSpace exec;
  const auto x = normal_matrix(exec, tokens, hidden, 1, 1e-20), y = normal_matrix(exec, tokens, hidden, 2);
  time(state, [&](const ExecutionSpace& e) { kernels::add<float>(e, y, x); });
  perf::count_bytes(state, 3 * word * tokens * hidden);
}

void copy(benchmark::State& state) {
  const ExecutionSpace exec;
  const auto x = normal_matrix(exec, tokens, hidden, 1), y = normal_matrix(exec, tokens, hidden, 2);
  time(state, [&](const ExecutionSpace& e) { kernels::copy<float>(e, y, x); });
  perf::count_bytes(state, 2 * word * tokens * hidden);
}

constexpr std::int64_t parameters = vocab * hidden * 12;

void sum_of_squares(benchmark::State& state) {
  const auto x = normal_vector(parameters, 1);
  time(state,
       [&](const ExecutionSpace& e) { benchmark::DoNotOptimize(kernels::sum_of_squares<float>(e, x)); });
  perf::count_bytes(state, word * parameters);
}

void adamw(benchmark::State& state) {
  const auto weights = normal_vector(parameters, 1), m = normal_vector(parameters, 2);
  const auto gradients = normal_vector(parameters, 3);
  const Vector<float> v("strait::perf::v", parameters);
  time(state, [&](const ExecutionSpace& e) {
    kernels::adamw<float>(e, weights, m, v, gradients, {.learning_rate = 1e-6});
  });
  perf::count_bytes(state, 7 * word * parameters);
}

BENCHMARK_CAPTURE(linear_forward, query_key_value, 3 * hidden, hidden)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(linear_forward, gate_up, 2 * ffn, hidden)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(linear_forward, down, hidden, ffn)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(linear_forward, head, vocab, hidden)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(linear_backward_input, gate_up, 2 * ffn, hidden)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(linear_backward_weight, gate_up, 2 * ffn, hidden)->Unit(benchmark::kMillisecond);
BENCHMARK(matmul_tile)->Arg(8)->Arg(64)->Arg(128)->Unit(benchmark::kMicrosecond);
BENCHMARK(rms_norm_forward)->Unit(benchmark::kMicrosecond);
BENCHMARK(add_rms_norm_forward)->Unit(benchmark::kMicrosecond);
BENCHMARK(rms_norm_backward_input)->Unit(benchmark::kMicrosecond);
BENCHMARK(rms_norm_backward_weight)->Unit(benchmark::kMicrosecond);
BENCHMARK(rope_forward)->Unit(benchmark::kMicrosecond);
BENCHMARK(swiglu_forward)->Unit(benchmark::kMicrosecond);
BENCHMARK(swiglu_backward)->Unit(benchmark::kMicrosecond);
BENCHMARK(embedding_forward)->Arg(vocab)->Arg(32000)->Unit(benchmark::kMicrosecond);
BENCHMARK(embedding_backward)->Arg(vocab)->Arg(32000)->Unit(benchmark::kMicrosecond);
BENCHMARK(add)->Unit(benchmark::kMicrosecond);
BENCHMARK(copy)->Unit(benchmark::kMicrosecond);
BENCHMARK(sum_of_squares)->Unit(benchmark::kMillisecond);
BENCHMARK(adamw)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace strait::kernels
