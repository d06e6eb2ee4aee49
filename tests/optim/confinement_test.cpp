// Updates of parameters whose vectors are confined to a subspace, and of the subspace.
#include "strait/kernels/adamw.hpp"
#include "strait/kernels/elementwise.hpp"
#include "strait/kernels/matmul.hpp"
#include "strait/kernels/orthonormal.hpp"
#include "strait/model/parameter_io.hpp"
#include "strait/optim/grassmann.hpp"
#include "strait/optim/optimizer.hpp"

#include "support/optimizers.hpp"
#include "support/temporary_directory.hpp"
#include "support/tensors.hpp"

#include <gtest/gtest.h>

namespace strait::optim {
namespace {

using kernels::matmul;
using kernels::Transpose;
using kernels::Vectors;

constexpr int rows = 12, columns = 20, rank = 5;

template <class T>
void follow_the_formula(Vectors vectors, double tolerance) {
  const ExecutionSpace exec;
  const bool along_rows = vectors == Vectors::rows;
  const auto weights = test::random_matrix<T>(exec, rows, columns, 1);
  const Matrix<T> mean("strait::test::mean", rows, columns), square("strait::test::square", rows, columns);
  auto w = to_host(exec, test::random_matrix<double>(exec, rows, columns, 1));
  auto m = to_host(exec, Matrix<double>("strait::test::m", rows, columns));
  std::vector<double> v(along_rows ? rows : columns);
  for (int step = 1; step <= 5; ++step) {
    const auto gradients = test::random_matrix<T>(exec, rows, columns, 10 + step);
    const kernels::AdamWOptions options{.learning_rate = 1e-2 * step,
                                        .beta1 = 0.9,
                                        .beta2 = 0.95,
                                        .epsilon = 1e-8,
                                        .weight_decay = 0.1,
                                        .gradient_scale = 0.5,
                                        .step = step};
    kernels::adamw_of_vectors<T>(exec, weights, mean, square, gradients, vectors, options);
    const auto g = to_host(exec, gradients);
    for (std::size_t k = 0; k < v.size(); ++k) {
      const int length = along_rows ? columns : rows;
      double sum = 0.0;
      for (int l = 0; l < length; ++l) {
        const double value = 0.5 * static_cast<double>(along_rows ? g(k, l) : g(l, k));
        sum += value * value;
      }
      v[k] = 0.95 * v[k] + 0.05 * sum / length;
    }
    for (int i = 0; i < rows; ++i) {
      for (int j = 0; j < columns; ++j) {
        m(i, j) = 0.9 * m(i, j) + 0.1 * 0.5 * static_cast<double>(g(i, j));
        const double corrected = m(i, j) / (1.0 - std::pow(0.9, step));
        const double size = std::sqrt(v[along_rows ? i : j] / (1.0 - std::pow(0.95, step))) + 1e-8;
        w(i, j) = w(i, j) * (1.0 - options.learning_rate * 0.1) - options.learning_rate * corrected / size;
      }
    }
  }
  const auto found = to_host(exec, weights), moment = to_host(exec, square);
  for (int i = 0; i < rows; ++i) {
    for (int j = 0; j < columns; ++j) {
      EXPECT_NEAR(found(i, j), w(i, j), tolerance);
      EXPECT_NEAR(moment(i, j), v[along_rows ? i : j], tolerance);
    }
  }
}

TEST(AdamWOfVectors, FollowsTheFormula) {
  for (const Vectors vectors : {Vectors::rows, Vectors::columns}) {
    follow_the_formula<double>(vectors, 1e-13);
    follow_the_formula<float>(vectors, 1e-5);
  }
}

OptimizerConfig config_of(const std::string& name) { return test::constant_rate(name, 1e-2); }

/// W [rows, columns] with columns confined to span(U), or T [columns, rows] with rows in it, and its free
/// factor B [rank, columns].
class Confined : public ::testing::Test {
 protected:
  Confined() : basis_("strait::test::basis", rows, rank) {
    kernels::fill_orthonormal<double>(exec_, basis_, 3, 4);
  }

  /// U b.
  Matrix<double> in_span(const Matrix<double>& b) {
    const Matrix<double> m("strait::test::in_span", rows, columns);
    matmul<double>(exec_, m, basis_, b);
    return m;
  }

  ExecutionSpace exec_;
  Matrix<double> basis_;
};

TEST_F(Confined, MuonOfAConfinedMatrixIsMuonOfItsFreeFactor) {
  model::ParameterLayout layout, free;
  layout.confine(layout.add("w", model::ParameterRole::matrix, rows, columns), model::Confinement::columns);
  free.add("b", model::ParameterRole::matrix, rank, columns);
  const auto muon = make_optimizer<double>(config_of("muon"), layout);
  const auto muon_of_factor = make_optimizer<double>(config_of("muon"), free);
  const auto b = test::random_matrix<double>(exec_, rank, columns, 1);
  const auto w = in_span(b);
  for (int step = 0; step < 10; ++step) {
    const auto db = test::random_matrix<double>(exec_, rank, columns, 20 + step);
    const auto dw = in_span(db);
    const UpdateInfo info{.step = step, .learning_rate = 1e-2};
    muon->update(exec_, Vector<double>(w.data(), w.size()), Vector<double>(dw.data(), dw.size()), info);
    muon_of_factor->update(exec_, Vector<double>(b.data(), b.size()), Vector<double>(db.data(), db.size()),
                           info);
    EXPECT_LT(test::relative_difference(exec_, w, in_span(b)), 1e-10) << "step " << step;
  }
}

TEST_F(Confined, AdamWStretchesVectorsOnly) {
  model::ParameterLayout layout;
  layout.add("gain", model::ParameterRole::gain, 1, 3);
  layout.confine(layout.add("w", model::ParameterRole::matrix, rows, columns), model::Confinement::columns);
  layout.confine(layout.add("table", model::ParameterRole::embedding, columns, rows),
                 model::Confinement::rows);
  layout.add("other", model::ParameterRole::matrix, 2, 3);
  const auto adamw = make_optimizer<double>(config_of("adamw"), layout);
  EXPECT_EQ(adamw->state_bytes(), 2 * 8 * layout.size());
  const Vector<double> weights("strait::test::weights", layout.size());
  const Vector<double> gradients("strait::test::gradients", layout.size());
  const auto table_of = [&](const Vector<double>& flat) { return layout.view(flat, 2); };
  for (int step = 0; step < 5; ++step) {
    kernels::copy<double>(exec_, layout.view(gradients, 1),
                          in_span(test::random_matrix<double>(exec_, rank, columns, 40 + step)));
    matmul<double>(exec_, table_of(gradients), test::random_matrix<double>(exec_, columns, rank, 60 + step),
                   basis_, {.b = Transpose::yes});
    adamw->update(exec_, weights, gradients, {.step = step, .learning_rate = 1e-2});
    const Matrix<double> b("strait::test::b", rank, columns);
    const Matrix<double> w = layout.view(weights, 1), table = table_of(weights);
    matmul<double>(exec_, b, basis_, w, {.a = Transpose::yes});
    EXPECT_LT(test::relative_difference(exec_, in_span(b), w), 1e-13);
    matmul<double>(exec_, b, basis_, table, {.a = Transpose::yes, .b = Transpose::yes});
    const Matrix<double> back("strait::test::back", columns, rows);
    matmul<double>(exec_, back, b, basis_, {.a = Transpose::yes, .b = Transpose::yes});
    EXPECT_LT(test::relative_difference(exec_, back, table), 1e-13);
  }
}

TEST_F(Confined, StateReadsBackWhereAnotherLayerIsConfined) {
  const test::TemporaryDirectory folder;
  const auto layout_of = [](model::Confinement confinement) {
    model::ParameterLayout layout;
    layout.confine(layout.add("w", model::ParameterRole::matrix, rows, columns), confinement);
    return layout;
  };
  const auto step = [&](Optimizer<double>& optimizer, const Matrix<double>& w, int index) {
    const auto g = test::random_matrix<double>(exec_, rows, columns, 70 + index);
    optimizer.update(exec_, Vector<double>(w.data(), w.size()), Vector<double>(g.data(), g.size()),
                     {.step = index, .learning_rate = 1e-2});
  };
  const auto confined = layout_of(model::Confinement::columns), free = layout_of(model::Confinement::none);
  const auto from = make_optimizer<double>(config_of("adamw"), free);
  const auto w = test::random_matrix<double>(exec_, rows, columns, 1);
  for (int i = 0; i < 3; ++i) step(*from, w, i);
  auto file = io::File::create(folder.file("state.h5"));
  from->save(exec_, file.root());
  const auto to = make_optimizer<double>(config_of("adamw"), confined);
  to->load(exec_, file.root());
  step(*to, w, 3);
  const auto again = make_optimizer<double>(config_of("adamw"), free);
  auto second = io::File::create(folder.file("confined.h5"));
  to->save(exec_, second.root());
  again->load(exec_, second.root());
  step(*again, w, 4);
  // The mean square of a column went on from the average of the free run's.
  const auto before = file.root().read<double>("square/w"), after = second.root().read<double>("square/w");
  const auto g = to_host(exec_, test::random_matrix<double>(exec_, rows, columns, 73));
  for (int j = 0; j < columns; ++j) {
    double average = 0.0;
    for (int i = 0; i < rows; ++i) {
      average += (0.95 * before[i * columns + j] + 0.05 * g(i, j) * g(i, j)) / rows;
    }
    for (int i = 0; i < rows; ++i) EXPECT_NEAR(after[i * columns + j], average, 1e-14);
  }
}

/// sum |g - U U^T g|^2 of the rows of g.
double loss_of(const ExecutionSpace& exec, const Matrix<double>& g, const Matrix<double>& u) {
  const Matrix<double> rest("strait::test::rest", g.extent(0), g.extent(1)),
      z("strait::test::z", g.extent(0), u.extent(1));
  kernels::copy<double>(exec, rest, g);
  matmul<double>(exec, z, g, u);
  matmul<double>(exec, rest, z, u, {.b = Transpose::yes, .alpha = -1.0, .beta = 1.0});
  return test::inner_product(exec, rest, rest);
}

TEST(Grassmann, StepsDescendToThePrincipalSubspace) {
  const ExecutionSpace exec;
  Matrix<double> u("strait::test::u", rows, rank), next("strait::test::next", rows, rank);
  kernels::fill_orthonormal<double>(exec, u, 3, 5);
  const auto g = test::random_matrix<double>(exec, 40, rows, 7, 1e-6);  // of any size
  const double first = loss_of(exec, g, u);
  double before = first;
  for (int step = 0; step < 300; ++step) {
    const Matrix<double> z("strait::test::z", 40, rank), cu("strait::test::cu", rows, rank);
    matmul<double>(exec, z, g, u);
    matmul<double>(exec, cu, g, z, {.a = Transpose::yes});
    grassmann_step<double>(exec, next, u, cu, 0.2);
    std::swap(u, next);
    const double now = loss_of(exec, g, u);
    EXPECT_LE(now, before * (1.0 + 1e-12)) << "step " << step;
    before = now;
    const Matrix<double> gram("strait::test::gram", rank, rank);
    matmul<double>(exec, gram, u, u, {.a = Transpose::yes});
    const auto host = to_host(exec, gram);
    for (int i = 0; i < rank; ++i) {
      for (int j = 0; j < rank; ++j) ASSERT_NEAR(host(i, j), i == j ? 1.0 : 0.0, 1e-12);
    }
  }
  EXPECT_LT(before, 0.9 * first);
  // At the minimum C U lies in span(U).
  const Matrix<double> z("strait::test::z", 40, rank), cu("strait::test::cu", rows, rank),
      carried("strait::test::carried", rank, rank);
  matmul<double>(exec, z, g, u);
  matmul<double>(exec, cu, g, z, {.a = Transpose::yes});
  const double whole = test::inner_product(exec, cu, cu);
  matmul<double>(exec, carried, u, cu, {.a = Transpose::yes});
  matmul<double>(exec, cu, u, carried, {.alpha = -1.0, .beta = 1.0});
  EXPECT_LT(test::inner_product(exec, cu, cu), 1e-3 * whole);
}

TEST(Grassmann, NothingToFollowChangesNothing) {
  const ExecutionSpace exec;
  const Matrix<double> u("strait::test::u", rows, rank), next("strait::test::next", rows, rank),
      cu("strait::test::cu", rows, rank);
  kernels::fill_orthonormal<double>(exec, u, 3, 5);
  grassmann_step<double>(exec, next, u, cu, 0.2);
  EXPECT_EQ(test::relative_difference(exec, next, u), 0.0);
}

}  // namespace
}  // namespace strait::optim
