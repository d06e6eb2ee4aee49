// Products of matrices: those of a block and of the head, and square ones, where small orders show what a
// call costs.

#include "strait/kernels/matmul.hpp"

#include "operands.hpp"
#include "suite.hpp"

namespace strait::kernels {
namespace {

/// y [tokens, out] and x [tokens, in] with weight [out, in].
struct Linear {
  Linear(const ExecutionSpace& exec, std::int64_t tokens, std::int64_t out, std::int64_t in)
      : y(perf::normal_matrix(exec, tokens, out, 1)),
        x(perf::normal_matrix(exec, tokens, in, 2)),
        weight(perf::normal_matrix(exec, out, in, 3)),
        work{.flops = 2.0 * tokens * out * in, .bytes = perf::bytes_of(y.size() + x.size() + weight.size())} {
  }

  Matrix<float> y, x, weight;
  perf::Work work;
};

template <class T>
perf::Task square(const ExecutionSpace& exec, std::int64_t order) {
  const auto a = perf::normal_matrix<T>(exec, order, order, 1),
             b = perf::normal_matrix<T>(exec, order, order, 2);
  const Matrix<T> c("strait::perf::c", order, order);
  const auto n = static_cast<double>(order);
  return {
      .run = [=] { matmul<T>(exec, c, a, b, {.b = Transpose::yes}); },
      .work = {.flops = 2.0 * n * n * n, .bytes = perf::bytes_of<T>(3 * n * n), .peak = &perf::gemm_rate<T>}};
}

void list_linear(perf::Suite& suite, const perf::Deck& deck, const std::string& layer, std::int64_t out,
                 std::int64_t in) {
  const std::int64_t tokens = deck.tokens();
  const auto name = [&](const std::string& what) {
    return "matmul/" + what + "/" + deck.name + ", " + layer;
  };
  suite.add(name("linear_forward"), [=](const ExecutionSpace& exec) -> perf::Task {
    const Linear l(exec, tokens, out, in);
    return {.run = [=] { linear_forward<float>(exec, l.y, l.x, l.weight); }, .work = l.work};
  });
  suite.add(name("linear_backward_input"), [=](const ExecutionSpace& exec) -> perf::Task {
    const Linear l(exec, tokens, out, in);
    return {.run = [=] { linear_backward_input<float>(exec, l.x, l.y, l.weight); }, .work = l.work};
  });
  suite.add(name("linear_backward_weight"), [=](const ExecutionSpace& exec) -> perf::Task {
    const Linear l(exec, tokens, out, in);
    return {.run = [=] { linear_backward_weight<float>(exec, l.weight, l.y, l.x); }, .work = l.work};
  });
}

void list(perf::Suite& suite, const std::vector<perf::Deck>& decks) {
  for (const auto& deck : decks) {
    const auto& model = deck.model;
    list_linear(suite, deck, "query_key_value", model.qkv_width(), model.hidden);
    list_linear(suite, deck, "output", model.hidden, model.hidden);
    list_linear(suite, deck, "gate_up", 2 * model.ffn_hidden, model.hidden);
    list_linear(suite, deck, "down", model.hidden, model.ffn_hidden);
  }
  for (const int order : {8, 64, 128, 512, 1024}) {
    suite.add("matmul/float32/" + std::to_string(order),
              [order](const ExecutionSpace& exec) { return square<float>(exec, order); });
    suite.add("matmul/float64/" + std::to_string(order),
              [order](const ExecutionSpace& exec) { return square<double>(exec, order); });
  }
}
const perf::Registration registration(list);

}  // namespace
}  // namespace strait::kernels
