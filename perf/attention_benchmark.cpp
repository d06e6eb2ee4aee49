// Attention. The products are those of the causal half; what a tile computes beyond the diagonal counts
// against it.

#include "strait/kernels/attention.hpp"

#include "operands.hpp"
#include "suite.hpp"

namespace strait::kernels {
namespace {

struct Operands {
  Operands(const ExecutionSpace& exec, const perf::Deck& deck, int kv_heads)
      : shape{.sequences = deck.sequences,
              .sequence_length = deck.model.context,
              .heads = deck.model.heads,
              .kv_heads = kv_heads,
              .head_dim = deck.model.head_dim()},
        qkv(perf::normal_matrix(exec, deck.tokens(), (shape.heads + 2 * kv_heads) * shape.head_dim, 1)),
        dout(perf::normal_matrix(exec, deck.tokens(), deck.model.hidden, 2)),
        out("strait::perf::out", deck.tokens(), deck.model.hidden),
        lse("strait::perf::lse", deck.tokens(), shape.heads),
        dqkv("strait::perf::dqkv", deck.tokens(), qkv.extent(1)) {
    attention_forward<float>(exec, out, lse, qkv, shape);
  }

  /// Of one product of queries with keys, or of probabilities with values.
  double product_flops() const {
    const double pairs = 0.5 * shape.sequence_length * (shape.sequence_length + 1.0);
    return 2.0 * shape.head_dim * pairs * shape.heads * shape.sequences;
  }

  AttentionShape shape;
  Matrix<float> qkv, dout, out, lse, dqkv;
};

perf::Task forward(const ExecutionSpace& exec, const perf::Deck& deck, int kv_heads) {
  const Operands o(exec, deck, kv_heads);
  return {.run = [=] { attention_forward<float>(exec, o.out, o.lse, o.qkv, o.shape); },
          .work = {.flops = 2 * o.product_flops(),
                   .bytes = perf::bytes_of(o.qkv.size() + o.out.size() + o.lse.size())}};
}

perf::Task backward(const ExecutionSpace& exec, const perf::Deck& deck, int kv_heads) {
  const Operands o(exec, deck, kv_heads);
  return {.run = [=] { attention_backward<float>(exec, o.dqkv, o.dout, o.qkv, o.out, o.lse, o.shape); },
          .work = {.flops = 5 * o.product_flops(),
                   .bytes = perf::bytes_of(2 * (o.qkv.size() + o.out.size()) + o.lse.size())}};
}

void list(perf::Suite& suite, const std::vector<perf::Deck>& decks) {
  for (const auto& deck : decks) {
    const auto add = [&](const std::string& name, int kv_heads) {
      suite.add("attention/forward/" + name,
                [=](const ExecutionSpace& exec) { return forward(exec, deck, kv_heads); });
      suite.add("attention/backward/" + name,
                [=](const ExecutionSpace& exec) { return backward(exec, deck, kv_heads); });
    };
    add(deck.name, deck.model.kv_heads);
    if (deck.model.heads % 4 == 0) add(deck.name + ", grouped by 4", deck.model.heads / 4);
  }
}
const perf::Registration registration(list);

}  // namespace
}  // namespace strait::kernels
