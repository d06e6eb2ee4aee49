// Updates of the parameters of one block: the kernels, and whole optimisers. For optimisers of matrices,
// Muon's products count as operations; of soap and basis-rotation rotation_benchmark.cpp has the costs, here
// the mean of some updates is timed.

#include "strait/kernels/adamw.hpp"
#include "strait/kernels/delay_compensation.hpp"
#include "strait/kernels/rotated_adam.hpp"
#include "strait/model/stage.hpp"
#include "strait/optim/optimizer.hpp"

#include "operands.hpp"
#include "optimizer_settings.hpp"
#include "suite.hpp"

#include <algorithm>

namespace strait::kernels {
namespace {

model::ParameterLayout block_of(const perf::Deck& deck) {
  return model::stage_layout(deck.model, {0, 1, false, false});
}

Vector<float> flat(const Matrix<float>& m) { return Vector<float>(m.data(), m.size()); }

/// Weights w with gradients g and the two moments, [rows, columns].
struct Moments {
  Moments(const ExecutionSpace& exec, std::int64_t row_count, std::int64_t column_count)
      : w(perf::normal_matrix(exec, row_count, column_count, 1)),
        g(perf::normal_matrix(exec, row_count, column_count, 2)),
        m("strait::perf::mean", row_count, column_count),
        v("strait::perf::square", row_count, column_count) {}

  /// Of so many passes over one of them.
  perf::Work passes(int count) const { return {.bytes = perf::bytes_of(count * w.size())}; }

  Matrix<float> w, g, m, v;
};

void list_adamw(perf::Suite& suite, const perf::Deck& deck) {
  const std::int64_t size = block_of(deck).size(), hidden = deck.model.hidden, ffn = deck.model.ffn_hidden;
  const AdamWOptions options{.learning_rate = 1e-6};
  suite.add("adamw/adamw/" + deck.name, [=](const ExecutionSpace& exec) -> perf::Task {
    const Moments o(exec, 1, size);
    return {.run = [=] { adamw<float>(exec, flat(o.w), flat(o.m), flat(o.v), flat(o.g), options); },
            .work = o.passes(7)};
  });
  suite.add(
      "adamw/adamw_of_vectors/" + deck.name + ", columns", [=](const ExecutionSpace& exec) -> perf::Task {
        const Moments o(exec, hidden, ffn);
        return {.run = [=] { adamw_of_vectors<float>(exec, o.w, o.m, o.v, o.g, Vectors::columns, options); },
                .work = o.passes(7)};
      });
  suite.add("adamw/adamw_of_vectors/" + deck.name + ", rows", [=](const ExecutionSpace& exec) -> perf::Task {
    const Moments o(exec, std::min(deck.model.vocab, 4096), hidden);
    return {.run = [=] { adamw_of_vectors<float>(exec, o.w, o.m, o.v, o.g, Vectors::rows, options); },
            .work = o.passes(7)};
  });
  suite.add("delay_compensation/compensate_delay/" + deck.name,
            [=](const ExecutionSpace& exec) -> perf::Task {
              const Moments o(exec, 1, size);
              return {.run =
                          [=] {
                            compensate_delay<float>(exec, flat(o.v), flat(o.g), flat(o.w), flat(o.m),
                                                    {.strength = 0.5});
                          },
                      .work = o.passes(4)};
            });
}

/// Of the matrix of one gate.
void list_rotated_adam(perf::Suite& suite, const perf::Deck& deck) {
  const std::int64_t hidden = deck.model.hidden, ffn = deck.model.ffn_hidden;
  suite.add("rotated_adam/rotated_adam/" + deck.name, [=](const ExecutionSpace& exec) -> perf::Task {
    const Moments o(exec, ffn, hidden);
    return {.run = [=] { rotated_adam<float>(exec, flat(o.w), flat(o.v), flat(o.g), {}); },
            .work = o.passes(5)};
  });
  suite.add("rotated_adam/row_products/" + deck.name, [=](const ExecutionSpace& exec) -> perf::Task {
    const Moments o(exec, ffn, hidden);
    const Vector<float> e("strait::perf::e", ffn);
    return {.run = [=] { row_products<float>(exec, e, o.w, o.g); }, .work = o.passes(2)};
  });
  suite.add("rotated_adam/descending_positions/" + deck.name, [=](const ExecutionSpace& exec) -> perf::Task {
    const auto e = perf::normal_vector(exec, ffn, 1);
    const Vector<int> position("strait::perf::position", ffn);
    return {.run = [=] { descending_positions<float>(exec, position, e); },
            .work = {.bytes = perf::bytes_of(2 * ffn)}};
  });
  suite.add("rotated_adam/move_to_positions/" + deck.name, [=](const ExecutionSpace& exec) -> perf::Task {
    const Moments o(exec, ffn, hidden);
    const Vector<int> row_position("strait::perf::row_position", ffn);
    const Vector<int> column_position("strait::perf::column_position", hidden);
    descending_positions<float>(exec, row_position, perf::normal_vector(exec, ffn, 1));
    descending_positions<float>(exec, column_position, perf::normal_vector(exec, hidden, 2));
    return {.run = [=] { move_to_positions<float>(exec, o.w, o.g, row_position, column_position); },
            .work = o.passes(2)};
  });
}

/// Products of msign, five iterations on the shorter side.
double muon_flops(const model::ParameterLayout& layout) {
  double flops = 0.0;
  for (const auto& info : layout.entries()) {
    if (info.role != model::ParameterRole::matrix) continue;
    const double order = static_cast<double>(std::min(info.rows, info.columns));
    flops += 5 * (4.0 * static_cast<double>(info.size()) * order + 2.0 * order * order * order);
  }
  return flops;
}

void list_optimizers(perf::Suite& suite, const perf::Deck& deck) {
  for (const std::string name : {"adamw", "nadam", "muon", "soap", "basis-rotation"}) {
    suite.add("optimizer/" + name + "/" + deck.name, [=](const ExecutionSpace& exec) -> perf::Task {
      const auto layout = block_of(deck);
      const auto weights = perf::normal_vector(exec, layout.size(), 1, 0.02);
      const auto gradients = perf::normal_vector(exec, layout.size(), 2, 1e-3);
      const std::shared_ptr optimizer = optim::make_optimizer<float>(perf::optimizer_settings(name), layout);
      const auto step = std::make_shared<std::int64_t>(0);
      return {.run =
                  [=] {
                    optimizer->update(exec, weights, gradients, {.step = (*step)++, .learning_rate = 1e-6});
                  },
              .work = {.flops = name == "muon" ? muon_flops(layout) : 0.0,
                       .bytes = perf::bytes_of((name == "muon" ? 5 : 7) * layout.size())}};
    });
  }
}

void list(perf::Suite& suite, const std::vector<perf::Deck>& decks) {
  for (const auto& deck : decks) {
    list_adamw(suite, deck);
    list_rotated_adam(suite, deck);
    list_optimizers(suite, deck);
  }
}
const perf::Registration registration(list);

}  // namespace
}  // namespace strait::kernels
