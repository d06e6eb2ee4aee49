// Numbers stored as bfloat16: the rounding of a block's weights, and the products of its widest layer.

#include "strait/kernels/matmul.hpp"
#include "strait/kernels/rounding.hpp"
#include "strait/model/stage.hpp"

#include "operands.hpp"
#include "suite.hpp"

namespace strait::kernels {
namespace {

void list_rounding(perf::Suite& suite, const perf::Deck& deck) {
  const auto size = model::stage_layout(deck.model, {0, 1, false, false}).size();
  const double bytes = perf::bytes_of(size) + perf::bytes_of<bfloat16>(size);
  suite.add("rounding/round_to_nearest/" + deck.name, [=](const ExecutionSpace& exec) -> perf::Task {
    const auto x = perf::normal_vector(exec, size, 1);
    const Vector<bfloat16> y("strait::perf::rounded", size);
    return {.run = [=] { round_to_nearest(exec, y, x); }, .work = {.bytes = bytes}};
  });
  suite.add("rounding/round_stochastically/" + deck.name, [=](const ExecutionSpace& exec) -> perf::Task {
    const auto x = perf::normal_vector(exec, size, 1);
    const Vector<bfloat16> y("strait::perf::rounded", size);
    return {.run = [=] { round_stochastically(exec, y, x, 1, 2); }, .work = {.bytes = bytes}};
  });
}

void list_linear(perf::Suite& suite, const perf::Deck& deck) {
  const std::int64_t tokens = deck.tokens(), in = deck.model.hidden, out = 2 * deck.model.ffn_hidden;
  const perf::Work work{.flops = 2.0 * tokens * out * in,
                        .bytes = perf::bytes_of<bfloat16>(tokens * (in + out) + out * in),
                        .peak = &perf::gemm_rate<bfloat16>};
  const auto name = [&](const std::string& what) {
    return "matmul/bfloat16 " + what + "/" + deck.name + ", gate_up";
  };
  suite.add(name("linear_forward"), [=](const ExecutionSpace& exec) -> perf::Task {
    const auto y = perf::normal_matrix<bfloat16>(exec, tokens, out, 1),
               x = perf::normal_matrix<bfloat16>(exec, tokens, in, 2),
               weight = perf::normal_matrix<bfloat16>(exec, out, in, 3);
    return {.run = [=] { linear_forward<bfloat16>(exec, y, x, weight); }, .work = work};
  });
  suite.add(name("linear_backward_weight"), [=](const ExecutionSpace& exec) -> perf::Task {
    const auto dy = perf::normal_matrix<bfloat16>(exec, tokens, out, 1),
               x = perf::normal_matrix<bfloat16>(exec, tokens, in, 2);
    const auto dweight = perf::normal_matrix(exec, out, in, 3);
    return {.run = [=] { linear_backward_weight<bfloat16>(exec, dweight, dy, x); }, .work = work};
  });
}

void list(perf::Suite& suite, const std::vector<perf::Deck>& decks) {
  for (const auto& deck : decks) {
    list_rounding(suite, deck);
    list_linear(suite, deck);
  }
}
const perf::Registration registration(list);

}  // namespace
}  // namespace strait::kernels
