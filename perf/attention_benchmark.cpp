// Attention. The products are those of the causal half; what a tile computes beyond the diagonal counts
// against it.

#include "strait/kernels/attention.hpp"

#include "operands.hpp"
#include "suite.hpp"

namespace strait::kernels {
namespace {

template <class T>
struct Operands {
  Operands(const ExecutionSpace& exec, const perf::Deck& deck, int kv_heads)
      : shape{.sequences = deck.sequences,
              .sequence_length = deck.model.context,
              .heads = deck.model.heads,
              .kv_heads = kv_heads,
              .head_dim = deck.model.head_dim()},
        qkv(perf::normal_matrix<T>(exec, deck.tokens(), (shape.heads + 2 * kv_heads) * shape.head_dim, 1)),
        dout(perf::normal_matrix<T>(exec, deck.tokens(), deck.model.hidden, 2)),
        out("strait::perf::out", deck.tokens(), deck.model.hidden),
        lse("strait::perf::lse", deck.tokens(), shape.heads),
        dqkv("strait::perf::dqkv", deck.tokens(), qkv.extent(1)) {
    attention_forward<T>(exec, out, lse, qkv, shape);
  }

  /// Of one product of queries with keys, or of probabilities with values.
  double product_flops() const {
    const double pairs = 0.5 * shape.sequence_length * (shape.sequence_length + 1.0);
    return 2.0 * shape.head_dim * pairs * shape.heads * shape.sequences;
  }

  AttentionShape shape;
  Matrix<T> qkv, dout, out;
  Matrix<Compute<T>> lse;
  Matrix<T> dqkv;
};

template <class T>
perf::Task forward(const ExecutionSpace& exec, const perf::Deck& deck, int kv_heads,
                   const AttentionTiling& tiling) {
  const Operands<T> o(exec, deck, kv_heads);
  return {.run = [=] { attention_forward<T>(exec, o.out, o.lse, o.qkv, o.shape, tiling); },
          .work = {.flops = 2 * o.product_flops(),
                   .bytes = perf::bytes_of<T>(o.qkv.size() + o.out.size()) + perf::bytes_of(o.lse.size()),
                   .peak = &perf::gemm_rate<T>}};
}

template <class T>
perf::Task backward(const ExecutionSpace& exec, const perf::Deck& deck, int kv_heads,
                    const AttentionTiling& tiling) {
  const Operands<T> o(exec, deck, kv_heads);
  return {.run = [=] { attention_backward<T>(exec, o.dqkv, o.dout, o.qkv, o.out, o.lse, o.shape, tiling); },
          .work = {.flops = 5 * o.product_flops(),
                   .bytes = 2 * perf::bytes_of<T>(o.qkv.size() + o.out.size()) + perf::bytes_of(o.lse.size()),
                   .peak = &perf::gemm_rate<T>}};
}

template <class T>
void add(perf::Suite& suite, const perf::Deck& deck, int kv_heads, const std::string& precision,
         const std::string& shape, const AttentionTiling& tiling = {}) {
  suite.add("attention/" + precision + "forward/" + shape,
            [=](const ExecutionSpace& exec) { return forward<T>(exec, deck, kv_heads, tiling); });
  suite.add("attention/" + precision + "backward/" + shape,
            [=](const ExecutionSpace& exec) { return backward<T>(exec, deck, kv_heads, tiling); });
}

void list(perf::Suite& suite, const std::vector<perf::Deck>& decks) {
  for (const auto& deck : decks) {
    add<float>(suite, deck, deck.model.kv_heads, "", deck.name);
    if (deck.model.heads % 4 == 0) {
      add<float>(suite, deck, deck.model.heads / 4, "", deck.name + ", grouped by 4");
    }
    add<bfloat16>(suite, deck, deck.model.kv_heads, "bfloat16 ", deck.name);
    if (host_accessible) continue;
    for (const int queries : {128, 256, 512}) {  // to choose tiles by, on a device
      for (const int keys : {256, 512, 1024}) {
        add<bfloat16>(suite, deck, deck.model.kv_heads, "bfloat16 ",
                      deck.name + ", tiles " + std::to_string(queries) + "x" + std::to_string(keys),
                      {.query_rows = queries, .key_rows = keys});
      }
    }
  }
}
const perf::Registration registration(list);

}  // namespace
}  // namespace strait::kernels
