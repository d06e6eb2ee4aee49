// Cross-entropy fused with the head: one product forward, three with the backward.

#include "strait/kernels/cross_entropy.hpp"

#include "operands.hpp"
#include "suite.hpp"

namespace strait::kernels {
namespace {

struct Operands {
  Operands(const ExecutionSpace& exec, const perf::Deck& deck)
      : x(perf::normal_matrix(exec, deck.tokens(), deck.model.hidden, 1)),
        dx("strait::perf::dx", deck.tokens(), deck.model.hidden),
        head(perf::normal_matrix(exec, deck.model.vocab, deck.model.hidden, 2, 0.02)),
        dhead("strait::perf::dhead", deck.model.vocab, deck.model.hidden),
        loss("strait::perf::loss", 1),
        targets(perf::uneven_ids(exec, deck.tokens(), deck.model.vocab)),
        product_flops(2.0 * static_cast<double>(deck.tokens()) * static_cast<double>(head.size())) {}

  Matrix<float> x, dx, head, dhead;
  Vector<double> loss;
  TokenIds targets;
  double product_flops;
};

void list(perf::Suite& suite, const std::vector<perf::Deck>& decks) {
  for (const auto& deck : decks) {
    suite.add("cross_entropy/forward/" + deck.name, [=](const ExecutionSpace& exec) -> perf::Task {
      const Operands o(exec, deck);
      return {.run = [=] { cross_entropy_forward<float>(exec, o.loss, o.x, o.head, o.targets); },
              .work = {.flops = o.product_flops}};
    });
    suite.add("cross_entropy/forward_backward/" + deck.name, [=](const ExecutionSpace& exec) -> perf::Task {
      const Operands o(exec, deck);
      const CrossEntropyOptions options{.gradient_scale = 1.0 / static_cast<double>(deck.tokens())};
      return {.run =
                  [=] {
                    cross_entropy_forward_backward<float>(exec, o.loss, o.dx, o.dhead, o.x, o.head, o.targets,
                                                          options);
                  },
              .work = {.flops = 3 * o.product_flops}};
    });
  }
}
const perf::Registration registration(list);

}  // namespace
}  // namespace strait::kernels
