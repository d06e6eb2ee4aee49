// Decompositions of square matrices (the bases of basis rotation), random orthonormal matrices, and the
// functions of polar factors that Muon and the projectors are made of. Operations are those of the plain
// formulas: symmetric products take fewer, so that more than the rate of a large product is possible.

#include "strait/kernels/decomposition.hpp"
#include "strait/kernels/matmul.hpp"
#include "strait/kernels/msign.hpp"
#include "strait/kernels/orthonormal.hpp"
#include "strait/optim/grassmann.hpp"
#include "strait/optim/stiefel.hpp"

#include "operands.hpp"
#include "suite.hpp"

#include <algorithm>

namespace strait::kernels {
namespace {

/// Operations of `iterations` quintic steps on [rows, columns].
double quintic_flops(double row_count, double column_count, int iterations) {
  const double order = std::min(row_count, column_count);
  return iterations * (4.0 * row_count * column_count * order + 2.0 * order * order * order);
}

/// Of Q R of [rows, columns], rows >= columns, Q formed.
double qr_flops(double row_count, double column_count) {
  return 4.0 * column_count * column_count * (row_count - column_count / 3.0);
}

/// A symmetric matrix decomposes into its eigenvectors at about 9 n^3 operations.
void list_decompositions(perf::Suite& suite, const perf::Deck& deck) {
  const std::int64_t n = deck.model.hidden;
  const auto cube = static_cast<double>(n) * n * n;
  suite.add("decomposition/eigenvectors/" + deck.name, [=](const ExecutionSpace& exec) -> perf::Task {
    const Decomposer<float> decomposer(n);
    const auto x = perf::normal_matrix(exec, n, n, 1);
    const Matrix<float> symmetric("strait::perf::symmetric", n, n), a("strait::perf::a", n, n);
    matmul<float>(exec, symmetric, x, x, {.b = Transpose::yes});
    return {.run = [=] { decomposer.eigenvectors(exec, a); },
            .work = {.flops = 9 * cube},
            .before = [=] { Kokkos::deep_copy(exec, a, symmetric); }};
  });
  suite.add("decomposition/orthonormal_basis/" + deck.name, [=](const ExecutionSpace& exec) -> perf::Task {
    const Decomposer<float> decomposer(n);
    const auto x = perf::normal_matrix(exec, n, n, 1), q = perf::normal_matrix(exec, n, n, 2);
    return {.run = [=] { decomposer.orthonormal_basis(exec, q, n); },
            .work = {.flops = qr_flops(n, n)},
            .before = [=] { Kokkos::deep_copy(exec, q, x); }};
  });
}

/// At the size of a projector.
void list_orthonormal(perf::Suite& suite, const perf::Deck& deck) {
  const std::int64_t hidden = deck.model.hidden, rank = deck.rank();
  // Cholesky Q R twice: a Gram matrix and a triangular solve each, in double.
  const perf::Work work{.flops = 2 * 3.0 * hidden * rank * rank, .peak = &perf::gemm_rate<double>};
  suite.add("orthonormal/fill_orthonormal/" + deck.name, [=](const ExecutionSpace& exec) -> perf::Task {
    const Matrix<float> q("strait::perf::q", hidden, rank);
    return {.run = [=] { fill_orthonormal<float>(exec, q, 1, 1); }, .work = work};
  });
  suite.add("orthonormal/orthonormalize/" + deck.name, [=](const ExecutionSpace& exec) -> perf::Task {
    const auto x = perf::normal_matrix(exec, hidden, rank, 1), q = perf::normal_matrix(exec, hidden, rank, 2);
    return {.run = [=] { orthonormalize<float>(exec, q); },
            .work = work,
            .before = [=] { Kokkos::deep_copy(exec, q, x); }};
  });
}

perf::Task msign_task(const ExecutionSpace& exec, std::int64_t row_count, std::int64_t column_count) {
  const auto x = perf::normal_matrix(exec, row_count, column_count, 1);
  const Matrix<float> d("strait::perf::d", row_count, column_count);
  const PolarWorkspace<float> workspace(row_count, column_count);
  return {.run = [=] { msign<float>(exec, d, x, workspace); },
          .work = {.flops = quintic_flops(row_count, column_count, 5)}};
}

void list_polar(perf::Suite& suite, const perf::Deck& deck) {
  const std::int64_t hidden = deck.model.hidden, rank = deck.rank(), ffn = deck.model.ffn_hidden;
  const auto tall = static_cast<double>(hidden * rank);
  suite.add("msign/msign/" + deck.name + ", projector",
            [=](const ExecutionSpace& exec) { return msign_task(exec, hidden, rank); });
  suite.add("msign/msign/" + deck.name + ", output",
            [=](const ExecutionSpace& exec) { return msign_task(exec, hidden, hidden); });
  suite.add("msign/msign/" + deck.name + ", gate",
            [=](const ExecutionSpace& exec) { return msign_task(exec, ffn, hidden); });
  suite.add("msign/polar_retract/" + deck.name, [=](const ExecutionSpace& exec) -> perf::Task {
    const Matrix<float> a("strait::perf::a", hidden, rank);
    fill_orthonormal<float>(exec, a, 1, 1);
    const PolarWorkspace<float> workspace(hidden, rank);
    return {.run = [=] { polar_retract<float>(exec, a, workspace); },
            .work = {.flops = quintic_flops(hidden, rank, 1)}};
  });
  suite.add("msign/project_to_tangent/" + deck.name, [=](const ExecutionSpace& exec) -> perf::Task {
    const Matrix<float> a("strait::perf::a", hidden, rank);
    fill_orthonormal<float>(exec, a, 1, 1);
    const auto g = perf::normal_matrix(exec, hidden, rank, 2);
    const PolarWorkspace<float> workspace(hidden, rank);
    return {.run = [=] { project_to_tangent<float>(exec, g, a, workspace); },
            .work = {.flops = 4.0 * tall * rank}};
  });
  suite.add("msign/normalize/" + deck.name, [=](const ExecutionSpace& exec) -> perf::Task {
    const auto x = perf::normal_matrix(exec, hidden, rank, 1), y = perf::normal_matrix(exec, hidden, rank, 2);
    const PolarWorkspace<float> workspace(hidden, rank);
    return {.run = [=] { normalize<float>(exec, y, x, 1.0, workspace); },
            .work = {.bytes = perf::bytes_of(3 * tall)}};
  });
  suite.add("msign/symmetrize/" + deck.name, [=](const ExecutionSpace& exec) -> perf::Task {
    const auto s = perf::normal_matrix(exec, rank, rank, 1);
    return {.run = [=] { symmetrize<float>(exec, s); }, .work = {.bytes = perf::bytes_of(2 * s.size())}};
  });
}

/// One update of `count` projectors in one call.
perf::Task projector_task(const ExecutionSpace& exec, const perf::Deck& deck, const std::string& rule,
                          int count) {
  const std::int64_t hidden = deck.model.hidden, rank = deck.rank();
  std::vector<Matrix<float>> projectors, gradients;
  for (int i = 0; i < count; ++i) {
    projectors.emplace_back("strait::perf::a", hidden, rank);
    fill_orthonormal<float>(exec, projectors.back(), 1, i);
    gradients.push_back(perf::normal_matrix(exec, hidden, rank, 2 + i));
  }
  const double step = 4.0 * hidden * rank * rank, tangents = 2 * step;  // of gradient and momentum
  const double dual_step = quintic_flops(hidden, rank, 5) + step;
  double flops = quintic_flops(hidden, rank, 5);
  if (rule == optim::spel) flops += tangents + quintic_flops(hidden, rank, 1);
  if (rule == optim::manifold_muon) {
    flops =
        tangents + quintic_flops(hidden, rank, 1) + optim::ProjectorOptimizerOptions{}.dual_steps * dual_step;
  }
  const std::shared_ptr optimizer = optim::make_projector_optimizer<float>(rule, count, hidden, rank);
  return {.run = [=] { optimizer->update(exec, projectors, gradients, 2e-3); },
          .work = {.flops = flops * count}};
}

void list_projectors(perf::Suite& suite, const perf::Deck& deck) {
  for (const std::string rule : {optim::spel, optim::manifold_muon, optim::unconstrained_muon}) {
    suite.add("stiefel/" + rule + "/" + deck.name,
              [=](const ExecutionSpace& exec) { return projector_task(exec, deck, rule, 1); });
  }
  suite.add("stiefel/spel/" + deck.name + ", 3 at once",
            [=](const ExecutionSpace& exec) { return projector_task(exec, deck, optim::spel, 3); });
  const std::int64_t hidden = deck.model.hidden, rank = deck.rank();
  suite.add("grassmann/grassmann_step/" + deck.name, [=](const ExecutionSpace& exec) -> perf::Task {
    const Matrix<float> u("strait::perf::u", hidden, rank), next("strait::perf::next", hidden, rank);
    fill_orthonormal<float>(exec, u, 1, 1);
    const auto x = perf::normal_matrix(exec, hidden, rank, 1),
               cu = perf::normal_matrix(exec, hidden, rank, 2);
    return {.run = [=] { optim::grassmann_step<float>(exec, next, u, cu, 1e-3); },
            .work = {.flops = (4.0 + 6.0) * hidden * rank * rank},
            .before = [=] { Kokkos::deep_copy(exec, cu, x); }};
  });
}

void list(perf::Suite& suite, const std::vector<perf::Deck>& decks) {
  for (const auto& deck : decks) {
    list_decompositions(suite, deck);
    list_orthonormal(suite, deck);
    list_polar(suite, deck);
    list_projectors(suite, deck);
  }
}
const perf::Registration registration(list);

}  // namespace
}  // namespace strait::kernels
