#pragma once
// Causal attention by its definition, and what the kernels make of the same tensors.

#include "strait/kernels/attention.hpp"

#include "support/tensors.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace strait::test {

using kernels::AttentionShape;
using kernels::AttentionTiling;

inline std::int64_t tokens_of(const AttentionShape& s) {
  return std::int64_t(s.sequences) * s.sequence_length;
}
inline std::int64_t query_columns(const AttentionShape& s) { return s.heads * s.head_dim; }
inline std::int64_t qkv_columns(const AttentionShape& s) { return (s.heads + 2 * s.kv_heads) * s.head_dim; }

/// The definition in double on the host, one query at a time.
struct AttentionReference {
  Matrix<double> out, lse, dqkv;

  template <class T>
  AttentionReference(const ExecutionSpace& exec, const Matrix<T>& qkv_device, const Matrix<T>& dout_device,
                     const AttentionShape& s)
      : out("strait::test::out", tokens_of(s), query_columns(s)),
        lse("strait::test::lse", tokens_of(s), s.heads),
        dqkv("strait::test::dqkv", tokens_of(s), qkv_columns(s)) {
    const auto qkv = to_host(exec, qkv_device), dout = to_host(exec, dout_device);
    auto o = to_host(exec, out), l = to_host(exec, lse), d = to_host(exec, dqkv);
    const double scale = 1.0 / std::sqrt(double(s.head_dim));
    for (int sequence = 0; sequence < s.sequences; ++sequence) {
      for (int h = 0; h < s.heads; ++h) {
        const int q = h * s.head_dim, kv = h / (s.heads / s.kv_heads) * s.head_dim;
        const int k = s.heads * s.head_dim + kv, v = k + s.kv_heads * s.head_dim;
        for (int position = 0; position < s.sequence_length; ++position) {
          const int first = sequence * s.sequence_length, i = first + position;
          std::vector<double> p(position + 1), dp(position + 1);
          double maximum = -std::numeric_limits<double>::infinity(), sum = 0.0, mean = 0.0;
          for (int j = 0; j <= position; ++j) {
            for (int c = 0; c < s.head_dim; ++c) {
              p[j] += scale * double(qkv(i, q + c)) * double(qkv(first + j, k + c));
              dp[j] += double(dout(i, q + c)) * double(qkv(first + j, v + c));
            }
            maximum = std::max(maximum, p[j]);
          }
          for (const double score : p) sum += std::exp(score - maximum);
          l(i, h) = maximum + std::log(sum);
          for (int j = 0; j <= position; ++j) {
            p[j] = std::exp(p[j] - l(i, h));
            mean += p[j] * dp[j];
          }
          for (int j = 0; j <= position; ++j) {
            const double ds = p[j] * (dp[j] - mean) * scale;
            for (int c = 0; c < s.head_dim; ++c) {
              o(i, q + c) += p[j] * double(qkv(first + j, v + c));
              d(i, q + c) += ds * double(qkv(first + j, k + c));
              d(first + j, k + c) += ds * double(qkv(i, q + c));
              d(first + j, v + c) += p[j] * double(dout(i, q + c));
            }
          }
        }
      }
    }
    to_device(exec, out, o);
    to_device(exec, lse, l);
    to_device(exec, dqkv, d);
  }
};

/// Forward and backward into tensors that hold NaN before: everything must be assigned.
template <class T>
struct AttentionResult {
  Matrix<T> out;
  Matrix<Compute<T>> lse;
  Matrix<T> dqkv;

  AttentionResult(const ExecutionSpace& exec, const Matrix<T>& qkv, const Matrix<T>& dout,
                  const AttentionShape& s, const AttentionTiling& tiling = {})
      : out("strait::test::out", tokens_of(s), query_columns(s)),
        lse("strait::test::lse", tokens_of(s), s.heads),
        dqkv("strait::test::dqkv", tokens_of(s), qkv_columns(s)) {
    constexpr auto nan = std::numeric_limits<Compute<T>>::quiet_NaN();
    Kokkos::deep_copy(exec, out, T(nan));
    Kokkos::deep_copy(exec, lse, nan);
    Kokkos::deep_copy(exec, dqkv, T(nan));
    kernels::attention_forward<T>(exec, out, lse, qkv, s, tiling);
    kernels::attention_backward<T>(exec, dqkv, dout, qkv, out, lse, s, tiling);
  }
};

}  // namespace strait::test
