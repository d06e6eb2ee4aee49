// Kernels on numbers stored as bfloat16 against the same kernels in float: what they store is the rounded
// result, what they keep in float is the same.
#include "support/bfloat16.hpp"

#include "strait/kernels/attention.hpp"
#include "strait/kernels/cross_entropy.hpp"
#include "strait/kernels/elementwise.hpp"
#include "strait/kernels/embedding.hpp"
#include "strait/kernels/matmul.hpp"
#include "strait/kernels/rms_norm.hpp"
#include "strait/kernels/rope.hpp"
#include "strait/kernels/swiglu.hpp"

#include "support/tensors.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace strait::kernels {
namespace {

using test::expect_rounded;
using test::narrow_matrix;
using test::narrow_vector;
using test::relative_difference;
using test::widened;

constexpr double same = 1e-6;  // of float results, whose sums may be taken in another order

class Bfloat16Kernels : public ::testing::Test {
 protected:
  const ExecutionSpace exec{};
};

TEST_F(Bfloat16Kernels, Add) {
  const auto y = narrow_matrix(exec, 5, 37, 1, 1.0, 3), x = narrow_matrix(exec, 5, 37, 2, 1.0, 1);
  const auto wanted = widened(exec, y);
  add<float>(exec, wanted, widened(exec, x));
  add<bfloat16>(exec, y, x);
  expect_rounded(exec, y, wanted);
}

TEST_F(Bfloat16Kernels, CopyRoundsAndWidens) {
  const auto x = test::random_matrix<float>(exec, 4, 33, 1, 2.0, 2);
  const Matrix<bfloat16> rounded("strait::test::rounded", 4, 33);
  copy<bfloat16, float>(exec, rounded, x);
  expect_rounded(exec, rounded, x);
  const Matrix<float> back("strait::test::back", 4, 33);
  copy<float, bfloat16>(exec, back, rounded);
  EXPECT_EQ(relative_difference(exec, back, rounded), 0.0);
}

TEST_F(Bfloat16Kernels, Matmul) {
  struct Shape {
    int m, n, k;
  };
  for (const Shape s :
       {Shape{5, 7, 9}, Shape{33, 65, 130}, Shape{3, 1, 17}, Shape{4, 5, 0}, Shape{1, 6, 8}}) {
    for (const bool ta : {false, true}) {
      for (const bool tb : {false, true}) {
        for (const double beta : {0.0, 1.0, 0.5}) {
          const auto a = narrow_matrix(exec, ta ? s.k : s.m, ta ? s.m : s.k, 1, 1.0, 3);
          const auto b = narrow_matrix(exec, tb ? s.n : s.k, tb ? s.k : s.n, 2, 1.0, 5);
          const auto c = narrow_matrix(exec, s.m, s.n, 3, 1.0, 1);
          const MatmulOptions options{.a = ta ? Transpose::yes : Transpose::no,
                                      .b = tb ? Transpose::yes : Transpose::no,
                                      .alpha = 0.75,
                                      .beta = beta};
          const auto wanted = widened(exec, c), sums = widened(exec, c);
          matmul<float>(exec, wanted, widened(exec, a), widened(exec, b), options);
          matmul<float, bfloat16>(exec, sums, a, b, options);
          matmul<bfloat16>(exec, c, a, b, options);
          EXPECT_LE(relative_difference(exec, sums, wanted), same) << s.m << " " << s.n << " " << s.k;
          expect_rounded(exec, c, wanted);
        }
      }
    }
  }
}

/// Factors that need several panels each.
TEST_F(Bfloat16Kernels, MatmulOfManyPanels) {
  constexpr int m = 300, n = 2100, k = 5000;
  const auto a = narrow_matrix(exec, m, k, 1), b = narrow_matrix(exec, n, k, 2);
  const Matrix<bfloat16> c("strait::test::c", m, n);
  const Matrix<float> wanted("strait::test::wanted", m, n);
  matmul<bfloat16>(exec, c, a, b, {.b = Transpose::yes});
  matmul<float>(exec, wanted, widened(exec, a), widened(exec, b), {.b = Transpose::yes});
  // Tensor cores cut off the last bit of their sums, 16 products at a time.
  constexpr double order = k / 16 * 0x1p-24;
  expect_rounded(exec, c, wanted, order);
}

TEST_F(Bfloat16Kernels, LinearProducts) {
  const auto x = narrow_matrix(exec, 20, 12, 1), weight = narrow_matrix(exec, 30, 12, 2),
             dy = narrow_matrix(exec, 20, 30, 3);
  const Matrix<bfloat16> y("strait::test::y", 20, 30), dx("strait::test::dx", 20, 12);
  const Matrix<float> wanted_y("strait::test::y", 20, 30), wanted_dx("strait::test::dx", 20, 12);
  const auto dweight = test::random_matrix<float>(exec, 30, 12, 4);
  const auto wanted_dweight = widened(exec, dweight);
  linear_forward<bfloat16>(exec, y, x, weight);
  linear_forward<float>(exec, wanted_y, widened(exec, x), widened(exec, weight));
  expect_rounded(exec, y, wanted_y);
  linear_backward_input<bfloat16>(exec, dx, dy, weight);
  linear_backward_input<float>(exec, wanted_dx, widened(exec, dy), widened(exec, weight));
  expect_rounded(exec, dx, wanted_dx);
  linear_backward_weight<bfloat16>(exec, dweight, dy, x);
  linear_backward_weight<float>(exec, wanted_dweight, widened(exec, dy), widened(exec, x));
  EXPECT_LE(relative_difference(exec, dweight, wanted_dweight), same);
}

TEST_F(Bfloat16Kernels, RmsNorm) {
  constexpr int tokens = 140, hidden = 48;
  const auto x = narrow_matrix(exec, tokens, hidden, 1), branch = narrow_matrix(exec, tokens, hidden, 2);
  const auto gain = narrow_vector(exec, hidden, 3);
  const auto wide_gain = widened(exec, gain);
  const Matrix<bfloat16> y("strait::test::y", tokens, hidden);
  const Matrix<float> wanted("strait::test::wanted", tokens, hidden);
  const Vector<float> rstd("strait::test::rstd", tokens), wanted_rstd("strait::test::rstd", tokens);

  rms_norm_forward<bfloat16>(exec, y, rstd, x, gain, 1e-5);
  rms_norm_forward<float>(exec, wanted, wanted_rstd, widened(exec, x), wide_gain, 1e-5);
  expect_rounded(exec, y, wanted);
  EXPECT_LE(relative_difference(exec, rstd, wanted_rstd), same);

  const auto sum = widened(exec, x);
  add<float>(exec, sum, widened(exec, branch));
  add_rms_norm_forward<bfloat16>(exec, y, rstd, x, branch, gain, 1e-5);
  expect_rounded(exec, x, sum);
  // The norm is that of the sum as it is stored.
  rms_norm_forward<float>(exec, wanted, wanted_rstd, widened(exec, x), wide_gain, 1e-5);
  expect_rounded(exec, y, wanted);
  EXPECT_LE(relative_difference(exec, rstd, wanted_rstd), same);
  const Matrix<bfloat16> again("strait::test::again", tokens, hidden);
  rms_norm_recompute<bfloat16>(exec, again, x, rstd, gain);
  expect_rounded(exec, again, wanted);

  const auto dy = narrow_matrix(exec, tokens, hidden, 4), residual = narrow_matrix(exec, tokens, hidden, 5);
  const Matrix<bfloat16> dx("strait::test::dx", tokens, hidden);
  for (const bool with_residual : {false, true}) {
    rms_norm_backward_input<bfloat16>(exec, dx, dy, with_residual ? residual : Matrix<bfloat16>(), x, rstd,
                                      gain);
    rms_norm_backward_input<float>(exec, wanted, widened(exec, dy),
                                   with_residual ? widened(exec, residual) : Matrix<float>(),
                                   widened(exec, x), rstd, wide_gain);
    expect_rounded(exec, dx, wanted);
  }
  const Vector<float> dgain("strait::test::dgain", hidden), wanted_dgain("strait::test::dgain", hidden);
  rms_norm_backward_weight<bfloat16>(exec, dgain, dy, x, rstd);
  rms_norm_backward_weight<float>(exec, wanted_dgain, widened(exec, dy), widened(exec, x), rstd);
  EXPECT_LE(relative_difference(exec, dgain, wanted_dgain), same);
}

TEST_F(Bfloat16Kernels, Rope) {
  constexpr int heads = 3, head_dim = 10, length = 6;
  const Matrix<float> table("strait::test::table", length, head_dim);
  rope_table<float>(exec, table, 1e4);
  for (const Rotation direction : {Rotation::forward, Rotation::backward}) {
    const auto x = narrow_matrix(exec, 2 * length, heads * head_dim + 4, 1);
    const auto wanted = widened(exec, x);
    rope<bfloat16>(exec, x, table, heads, head_dim, length, direction);
    rope<float>(exec, wanted, table, heads, head_dim, length, direction);
    expect_rounded(exec, x, wanted);
  }
}

TEST_F(Bfloat16Kernels, SwiGlu) {
  const auto gate_up = narrow_matrix(exec, 6, 90, 1, 5.0), dy = narrow_matrix(exec, 6, 45, 2);
  const auto wide = widened(exec, gate_up);
  const Matrix<bfloat16> y("strait::test::y", 6, 45), again("strait::test::y", 6, 45);
  const Matrix<float> wanted("strait::test::wanted", 6, 45);
  swiglu_forward<bfloat16>(exec, y, gate_up);
  swiglu_forward<float>(exec, wanted, wide);
  expect_rounded(exec, y, wanted);
  swiglu_backward<bfloat16>(exec, gate_up, again, gate_up, dy);
  swiglu_backward<float>(exec, wide, wanted, wide, widened(exec, dy));
  expect_rounded(exec, gate_up, wide);
  expect_rounded(exec, again, wanted);
}

TEST_F(Bfloat16Kernels, Embedding) {
  const std::vector<int> ids = {3, 0, 3, 7, 1, 3, 0};
  const auto tokens = test::token_ids(exec, ids);
  const auto table = narrow_matrix(exec, 8, 20, 1), dx = narrow_matrix(exec, 7, 20, 2);
  const Matrix<bfloat16> x("strait::test::x", 7, 20);
  const Matrix<float> wanted("strait::test::wanted", 7, 20);
  embedding_forward<bfloat16>(exec, x, table, tokens);
  embedding_forward<float>(exec, wanted, widened(exec, table), tokens);
  EXPECT_EQ(relative_difference(exec, x, wanted), 0.0);
  const auto dtable = test::random_matrix<float>(exec, 8, 20, 3);
  const auto wanted_dtable = widened(exec, dtable);
  embedding_backward<bfloat16>(exec, dtable, dx, tokens, 0.3);
  embedding_backward<float>(exec, wanted_dtable, widened(exec, dx), tokens, 0.3);
  EXPECT_LE(relative_difference(exec, dtable, wanted_dtable), same);
}

TEST_F(Bfloat16Kernels, CrossEntropy) {
  constexpr int tokens = 11, hidden = 24, vocab = 50;
  std::vector<int> ids;
  for (int i = 0; i < tokens; ++i) ids.push_back(i * 7 % vocab);
  const auto targets = test::token_ids(exec, ids);
  const auto x = narrow_matrix(exec, tokens, hidden, 1), head = narrow_matrix(exec, vocab, hidden, 2);
  const Vector<double> loss("strait::test::loss", 1), wanted_loss("strait::test::loss", 1);
  const Matrix<bfloat16> dx("strait::test::dx", tokens, hidden);
  const Matrix<float> wanted_dx("strait::test::dx", tokens, hidden);
  const auto dhead = test::random_matrix<float>(exec, vocab, hidden, 3, 0.01);
  const auto wanted_dhead = widened(exec, dhead);
  const CrossEntropyOptions options{.gradient_scale = 0.1, .chunk_tokens = 4};
  cross_entropy_forward_backward<bfloat16>(exec, loss, dx, dhead, x, head, targets, options);
  cross_entropy_forward_backward<float>(exec, wanted_loss, wanted_dx, wanted_dhead, widened(exec, x),
                                        widened(exec, head), targets, options);
  EXPECT_LE(relative_difference(exec, loss, wanted_loss), same);
  // The gradients of the logits are rounded before they are multiplied.
  EXPECT_LE(relative_difference(exec, dhead, wanted_dhead), 0x1p-8);
  EXPECT_LE(relative_difference(exec, dx, wanted_dx), 0x1p-7);
  EXPECT_GT(relative_difference(exec, dhead, wanted_dhead), 0.0);
  const Vector<double> forward_loss("strait::test::loss", 1);
  cross_entropy_forward<bfloat16>(exec, forward_loss, x, head, targets, options);
  EXPECT_EQ(relative_difference(exec, forward_loss, loss), 0.0);
}

/// Heads packed as float. In place probabilities are rounded: see attention_tiling_test.cpp.
TEST_F(Bfloat16Kernels, PackedAttention) {
  const AttentionTiling packed{.in_place = false};
  for (const int kv_heads : {4, 2}) {
    const AttentionShape shape{
        .sequences = 2, .sequence_length = 75, .heads = 4, .kv_heads = kv_heads, .head_dim = 12};
    const int tokens = 150, width = 48, qkv_width = (4 + 2 * kv_heads) * 12;
    const auto qkv = narrow_matrix(exec, tokens, qkv_width, 1, 2.0),
               dout = narrow_matrix(exec, tokens, width, 2);
    const Matrix<bfloat16> out("strait::test::out", tokens, width),
        dqkv("strait::test::d", tokens, qkv_width);
    const Matrix<float> wanted("strait::test::out", tokens, width),
        wanted_d("strait::test::d", tokens, qkv_width);
    const Matrix<float> lse("strait::test::lse", tokens, 4), wanted_lse("strait::test::lse", tokens, 4);
    const auto wide = widened(exec, qkv);
    attention_forward<bfloat16>(exec, out, lse, qkv, shape, packed);
    attention_forward<float>(exec, wanted, wanted_lse, wide, shape, packed);
    expect_rounded(exec, out, wanted);
    EXPECT_LE(relative_difference(exec, lse, wanted_lse), same);
    attention_backward<bfloat16>(exec, dqkv, dout, qkv, out, lse, shape, packed);
    attention_backward<float>(exec, wanted_d, widened(exec, dout), wide, widened(exec, out), lse, shape,
                              packed);
    expect_rounded(exec, dqkv, wanted_d);
  }
}

}  // namespace
}  // namespace strait::kernels
