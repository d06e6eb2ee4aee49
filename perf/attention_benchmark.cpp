// Attention against the rate of one large matrix product. Counters: `gflops` counts the products of the
// causal half in whole tiles of 32 queries; `of_gemm` is the share of the rate of a product of order 1024.

#include "strait/kernels/attention.hpp"

#include "gemm_rate.hpp"

#include <benchmark/benchmark.h>

namespace strait::kernels {
namespace {

enum Pass { forward, backward };

void attention(benchmark::State& state, Pass pass) {
  const AttentionShape shape{.sequences = static_cast<int>(state.range(0)),
                             .sequence_length = static_cast<int>(state.range(1)),
                             .heads = static_cast<int>(state.range(2)),
                             .kv_heads = static_cast<int>(state.range(3)),
                             .head_dim = static_cast<int>(state.range(4))};
  const ExecutionSpace exec;
  const std::int64_t tokens = std::int64_t(shape.sequences) * shape.sequence_length;
  const int query_columns = shape.heads * shape.head_dim;
  const int qkv_columns = query_columns + 2 * shape.kv_heads * shape.head_dim;
  const auto qkv = perf::normal_matrix(exec, tokens, qkv_columns, 1);
  const auto dout = perf::normal_matrix(exec, tokens, query_columns, 2);
  const Matrix<float> out("strait::perf::out", tokens, query_columns);
  const Matrix<float> lse("strait::perf::lse", tokens, shape.heads);
  const Matrix<float> dqkv("strait::perf::dqkv", tokens, qkv_columns);
  attention_forward<float>(exec, out, lse, qkv, shape);
  for (auto _ : state) {
    if (pass == forward) {
      attention_forward<float>(exec, out, lse, qkv, shape);
    } else {
      attention_backward<float>(exec, dqkv, dout, qkv, out, lse, shape);
    }
    fence(exec, "strait::perf: the pass is timed whole");
  }
  constexpr int tile = 32;
  const double pairs = 0.5 * shape.sequence_length * (shape.sequence_length + tile);
  const double products = pass == forward ? 2 : 5;
  perf::count_flops(state, products * 2 * shape.head_dim * pairs * shape.heads * shape.sequences);
}

BENCHMARK_CAPTURE(attention, forward, forward)
    ->ArgNames({"sequences", "length", "heads", "kv_heads", "head_dim"})
    ->Args({8, 256, 8, 8, 64})
    ->Args({1, 1024, 12, 12, 64})
    ->Args({1, 1024, 12, 4, 64})
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(attention, backward, backward)
    ->ArgNames({"sequences", "length", "heads", "kv_heads", "head_dim"})
    ->Args({8, 256, 8, 8, 64})
    ->Args({1, 1024, 12, 12, 64})
    ->Args({1, 1024, 12, 4, 64})
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace strait::kernels
