// Cross-entropy fused with the head. Counters: `gflops` counts its three products; `of_gemm` is the share of
// the rate of a product of order 1024, and `of_products` that of the same three products in one piece each.

#include "strait/core/host_mirror.hpp"
#include "strait/kernels/cross_entropy.hpp"

#include "gemm_rate.hpp"

#include <benchmark/benchmark.h>

namespace strait::kernels {
namespace {

void cross_entropy(benchmark::State& state) {
  const std::int64_t tokens = state.range(0), hidden = state.range(1), vocab = state.range(2);
  const ExecutionSpace exec;
  const auto x = perf::normal_matrix(exec, tokens, hidden, 1);
  const auto head = perf::normal_matrix(exec, vocab, hidden, 2, 0.02);
  const Matrix<float> dx("strait::perf::dx", tokens, hidden), dhead("strait::perf::dhead", vocab, hidden);
  const Vector<double> loss("strait::perf::loss", 1);
  const MutableTokenIds targets("strait::perf::targets", tokens);
  auto host = to_host(exec, targets);
  for (std::int64_t i = 0; i < tokens; ++i) host(i) = static_cast<std::int32_t>(i * 7919 % vocab);
  to_device(exec, targets, host);
  const CrossEntropyOptions options{.gradient_scale = 1.0 / static_cast<double>(tokens),
                                    .chunk_tokens = static_cast<int>(state.range(3))};
  for (auto _ : state) {
    cross_entropy_forward_backward<float>(exec, loss, dx, dhead, x, head, targets, options);
    fence(exec, "strait::perf: the pass is timed whole");
  }
  const double flops = 6.0 * tokens * hidden * vocab;
  perf::count_flops(state, flops);
  const double ideal =
      flops / 3.0 *
      (1.0 / perf::gemm_rate(tokens, vocab, hidden) + 1.0 / perf::gemm_rate(tokens, hidden, vocab) +
       1.0 / perf::gemm_rate(vocab, hidden, tokens));
  state.counters["of_products"] = benchmark::Counter(ideal, benchmark::Counter::kIsIterationInvariantRate);
}

BENCHMARK(cross_entropy)
    ->ArgNames({"tokens", "hidden", "vocab", "chunk"})
    ->Args({2048, 512, 4096, 0})
    ->Args({1024, 768, 32000, 0})
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace strait::kernels
