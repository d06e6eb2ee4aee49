// Passes over whole tensors, [tokens, hidden] or all parameters of a block, and the functions of fast_math.

#include "strait/kernels/checksum.hpp"
#include "strait/kernels/elementwise.hpp"
#include "strait/kernels/fast_math.hpp"
#include "strait/model/parameters.hpp"
#include "strait/model/stage.hpp"

#include "operands.hpp"
#include "suite.hpp"

namespace strait::kernels {
namespace {

void exp_of(const ExecutionSpace& exec, const Vector<float>& y, const Vector<float>& x) {
  Kokkos::parallel_for(
      "strait::perf::exp", RangePolicy(exec, 0, x.size()),
      KOKKOS_LAMBDA(std::int64_t i) { y(i) = fast::exp(x(i)); });
}

void sigmoid_of(const ExecutionSpace& exec, const Vector<float>& y, const Vector<float>& x) {
  Kokkos::parallel_for(
      "strait::perf::sigmoid", RangePolicy(exec, 0, x.size()),
      KOKKOS_LAMBDA(std::int64_t i) { y(i) = fast::sigmoid(x(i)); });
}

void silu_of(const ExecutionSpace& exec, const Vector<float>& y, const Vector<float>& x) {
  Kokkos::parallel_for(
      "strait::perf::silu", RangePolicy(exec, 0, x.size()),
      KOKKOS_LAMBDA(std::int64_t i) { y(i) = fast::silu(x(i)); });
}

using Function = void (*)(const ExecutionSpace&, const Vector<float>&, const Vector<float>&);

void list_fast_math(perf::Suite& suite, const perf::Deck& deck) {
  const struct {
    const char* name;
    Function function;
  } functions[] = {{"exp", exp_of}, {"sigmoid", sigmoid_of}, {"silu", silu_of}};
  for (const auto& [name, function] : functions) {
    suite.add(std::string("fast_math/") + name + "/" + deck.name,
              [deck, function = function](const ExecutionSpace& exec) -> perf::Task {
                const std::int64_t size = deck.tokens() * deck.model.hidden;
                const auto x = perf::normal_vector(exec, size, 1), y = perf::normal_vector(exec, size, 2);
                return {.run = [=] { function(exec, y, x); }, .work = {.bytes = perf::bytes_of(2 * size)}};
              });
  }
}

struct Operands {
  Operands(const ExecutionSpace& exec, const perf::Deck& deck)
      : x(perf::normal_matrix(exec, deck.tokens(), deck.model.hidden, 1, 1e-20)),
        y(perf::normal_matrix(exec, deck.tokens(), deck.model.hidden, 2)) {}

  /// Of so many passes over one of them.
  perf::Work passes(int count) const { return {.bytes = perf::bytes_of(count * x.size())}; }

  Matrix<float> x, y;
};

void list_matrices(perf::Suite& suite, const perf::Deck& deck) {
  suite.add("elementwise/add/" + deck.name, [deck](const ExecutionSpace& exec) -> perf::Task {
    const Operands o(exec, deck);
    return {.run = [=] { add<float>(exec, o.y, o.x); }, .work = o.passes(3)};
  });
  suite.add("elementwise/copy/" + deck.name, [deck](const ExecutionSpace& exec) -> perf::Task {
    const Operands o(exec, deck);
    return {.run = [=] { copy<float>(exec, o.y, o.x); }, .work = o.passes(2)};
  });
  suite.add("elementwise/combine/" + deck.name, [deck](const ExecutionSpace& exec) -> perf::Task {
    const Operands o(exec, deck);
    return {.run = [=] { combine<float>(exec, o.y, 0.5, o.x, 0.5, o.y); }, .work = o.passes(3)};
  });
}

void list_vectors(perf::Suite& suite, const perf::Deck& deck) {
  const auto size = model::stage_layout(deck.model, {0, 1, false, false}).size();
  suite.add("elementwise/sum_of_squares/" + deck.name, [size](const ExecutionSpace& exec) -> perf::Task {
    const auto x = perf::normal_vector(exec, size, 1);
    return {.run = [=] { benchmark::DoNotOptimize(sum_of_squares<float>(exec, x)); },
            .work = {.bytes = perf::bytes_of(size)}};
  });
  suite.add("checksum/checksum/" + deck.name, [size](const ExecutionSpace& exec) -> perf::Task {
    const auto x = perf::normal_vector(exec, size, 1);
    return {.run = [=] { benchmark::DoNotOptimize(checksum<float>(exec, x)); },
            .work = {.bytes = perf::bytes_of(size)}};
  });
  suite.add("elementwise/fill_normal/" + deck.name, [size](const ExecutionSpace& exec) -> perf::Task {
    const auto x = perf::normal_vector(exec, size, 1);
    return {.run = [=] { fill_normal<float>(exec, x, 0.02, 1, 2); }, .work = {.bytes = perf::bytes_of(size)}};
  });
}

void list(perf::Suite& suite, const std::vector<perf::Deck>& decks) {
  for (const auto& deck : decks) {
    list_matrices(suite, deck);
    list_vectors(suite, deck);
    list_fast_math(suite, deck);
  }
}
const perf::Registration registration(list);

}  // namespace
}  // namespace strait::kernels
