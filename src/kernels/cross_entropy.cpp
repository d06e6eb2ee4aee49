#include "strait/kernels/cross_entropy.hpp"

#include "strait/core/error.hpp"
#include "strait/kernels/fast_math.hpp"
#include "strait/kernels/matmul.hpp"

#include "rows.hpp"
#include "workspace.hpp"

#include <algorithm>

namespace strait::kernels {

namespace {

/// Tokens of a chunk: every chunk reads head and reads and writes dhead once, which a product over enough
/// tokens hides; more logits than that only cost memory. A device multiplies faster than it reads.
std::int64_t choose_chunk(std::int64_t tokens, std::int64_t vocab, const CrossEntropyOptions& options) {
  constexpr std::int64_t logits = host_accessible ? 1 << 22 : 1 << 28, most = host_accessible ? 1024 : 4096;
  const std::int64_t chunk =
      options.chunk_tokens > 0 ? options.chunk_tokens : std::clamp<std::int64_t>(logits / vocab, 256, most);
  return std::min(chunk, tokens);
}

/// Losses of a chunk of tokens from their logits, which become their gradients if `gradient`; as what
/// products take, those are in `factors`, which is empty where it would be the same.
template <class T, bool gradient>
struct TokenLosses {
  using C = Compute<T>;
  Matrix<C> logits;
  Matrix<T> factors;
  TokenIds targets;
  Vector<double> losses;
  double gradient_scale;

  KOKKOS_FUNCTION void operator()(const Row& row, std::int64_t token) const {
    constexpr std::int64_t block = 2048;  // sums within a block in C, of blocks in double
    const std::int64_t vocab = logits.extent(1), target = targets(token);
    C* const values = &logits(token, 0);
    const C target_logit = values[target];
    const C maximum = row_max<C>(row, vocab, [&](std::int64_t j) { return values[j]; });
    double sum = 0.0;
    for (std::int64_t begin = 0; begin < vocab; begin += block) {
      const std::int64_t count = vocab - begin < block ? vocab - begin : block;
      C* const part = values + begin;
      sum += static_cast<double>(row_sum<C>(row, count, [&](std::int64_t j) {
        const C e = fast::exp(part[j] - maximum);
        if constexpr (gradient) part[j] = e;
        return e;
      }));
    }
    row_once(row, [&] {
      losses(token) = math::log(sum) + (static_cast<double>(maximum) - static_cast<double>(target_logit));
    });
    if constexpr (gradient) {
      const C factor = static_cast<C>(gradient_scale / sum);
      row.barrier();
      row_for(row, vocab, [&](std::int64_t j) { values[j] *= factor; });
      row.barrier();
      row_once(row, [&] { values[target] -= static_cast<C>(gradient_scale); });
      if constexpr (is_narrow<T>) {
        T* const rounded = &factors(token, 0);
        row.barrier();
        row_for(row, vocab, [&](std::int64_t j) { rounded[j] = static_cast<T>(values[j]); });
      }
    }
  }
};

/// Both entry points; dx and dhead are not touched unless `gradient`.
template <class T, bool gradient>
void cross_entropy(const ExecutionSpace& exec, const Vector<double>& loss_sum, const Matrix<T>& dx,
                   const Matrix<Compute<T>>& dhead, const ConstMatrix<T>& x, const ConstMatrix<T>& head,
                   const TokenIds& targets, const CrossEntropyOptions& options) {
  const std::int64_t tokens = x.extent(0), vocab = head.extent(0);
  ensure(vocab > 0 && head.extent(1) == x.extent(1) && targets.extent(0) == x.extent(0) &&
             loss_sum.extent(0) == 1,
         "cross_entropy: extents do not match");
  const std::int64_t chunk = choose_chunk(tokens, vocab, options);
  using C = Compute<T>;
  const Workspace<C> logits("strait::cross_entropy::logits", chunk, vocab);
  const Workspace<T> factors("strait::cross_entropy::factors", gradient && is_narrow<T> ? chunk : 0, vocab);
  const Vector<double> losses = scratch<double>("strait::cross_entropy::losses", tokens);
  for (std::int64_t begin = 0; begin < tokens; begin += chunk) {
    const std::int64_t end = std::min(begin + chunk, tokens);
    const auto range = std::make_pair(begin, end);
    const Matrix<C> chunk_logits = rows(logits.view, 0, end - begin);
    const ConstMatrix<T> chunk_x = rows(x, begin, end);
    matmul<C, T>(exec, chunk_logits, chunk_x, head, {.b = Transpose::yes});
    for_each_row("strait::cross_entropy::token_losses", exec, end - begin,
                 TokenLosses<T, gradient>{chunk_logits, factors.view, Kokkos::subview(targets, range),
                                          Kokkos::subview(losses, range), options.gradient_scale});
    if constexpr (gradient) {
      Matrix<T> d;  // the chunk's gradients
      if constexpr (is_narrow<T>) {
        d = rows(factors.view, 0, end - begin);
      } else {
        d = chunk_logits;
      }
      // dhead first: dx may overwrite x.
      matmul<C, T>(exec, dhead, d, chunk_x, {.a = Transpose::yes, .beta = 1.0});
      matmul<T>(exec, rows(dx, begin, end), d, head);
    }
  }
  for_each_row(
      "strait::cross_entropy::sum_losses", exec, 1, KOKKOS_LAMBDA(const Row& row, std::int64_t) {
        const double sum = row_sum<double>(row, tokens, [&](std::int64_t i) { return losses(i); });
        row_once(row, [&] { loss_sum(0) = sum; });
      });
}

}  // namespace

template <class T>
void cross_entropy_forward(const ExecutionSpace& exec, const Vector<double>& loss_sum, ConstMatrix<T> x,
                           ConstMatrix<T> head, const TokenIds& targets, CrossEntropyOptions options) {
  cross_entropy<T, false>(exec, loss_sum, {}, {}, x, head, targets, options);
}

template <class T>
void cross_entropy_forward_backward(const ExecutionSpace& exec, const Vector<double>& loss_sum,
                                    const Matrix<T>& dx, const Matrix<Compute<T>>& dhead, ConstMatrix<T> x,
                                    ConstMatrix<T> head, const TokenIds& targets,
                                    CrossEntropyOptions options) {
  ensure(dx.extent(0) == x.extent(0) && dx.extent(1) == x.extent(1) && dhead.extent(0) == head.extent(0) &&
             dhead.extent(1) == head.extent(1),
         "cross_entropy: extents of the gradients do not match");
  cross_entropy<T, true>(exec, loss_sum, dx, dhead, x, head, targets, options);
}

#define STRAIT_INSTANTIATE(T)                                                                          \
  template void cross_entropy_forward<T>(const ExecutionSpace&, const Vector<double>&, ConstMatrix<T>, \
                                         ConstMatrix<T>, const TokenIds&, CrossEntropyOptions);        \
  template void cross_entropy_forward_backward<T>(                                                     \
      const ExecutionSpace&, const Vector<double>&, const Matrix<T>&, const Matrix<Compute<T>>&,       \
      ConstMatrix<T>, ConstMatrix<T>, const TokenIds&, CrossEntropyOptions);
STRAIT_INSTANTIATE(float)
STRAIT_INSTANTIATE(double)
STRAIT_INSTANTIATE(bfloat16)
#undef STRAIT_INSTANTIATE

}  // namespace strait::kernels
