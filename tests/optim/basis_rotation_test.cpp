// Facts of basis rotation: invariances, the basis' start and refreshes, and the memory of it.
#include "strait/kernels/adamw.hpp"
#include "strait/kernels/matmul.hpp"

#include "support/expect_error.hpp"
#include "support/kokkos_tools.hpp"
#include "support/rotation.hpp"
#include "support/spectral.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace strait::optim {
namespace {

using kernels::matmul;
using kernels::Transpose;

struct Variant {
  std::string source;
  bool two_sided;
};
const Variant variants[] = {{"second", true}, {"second", false}, {"first", true}, {"first", false}};

model::ParameterLayout layout_of(std::int64_t row_count, std::int64_t column_count) {
  model::ParameterLayout layout;
  layout.add("w", model::ParameterRole::matrix, row_count, column_count);
  return layout;
}

template <class T>
Vector<T> flat(const Matrix<T>& m) {
  return Vector<T>(m.data(), m.size());
}

template <class T>
Matrix<T> product(const ExecutionSpace& exec, const Matrix<T>& a, const Matrix<T>& b,
                  kernels::MatmulOptions options = {}) {
  const Matrix<T> c("strait::test::product", a.extent(options.a == Transpose::yes ? 1 : 0),
                    b.extent(options.b == Transpose::yes ? 0 : 1));
  matmul<T>(exec, c, a, b, options);
  return c;
}

/// Its rows that are multiples of three, negated.
template <class T>
Matrix<T> with_flipped_signs(const ExecutionSpace& exec, const Matrix<T>& basis) {
  const Matrix<T> flipped("strait::test::flipped", basis.extent(0), basis.extent(1));
  const auto host = to_host(exec, basis);
  for (std::size_t i = 0; i < host.extent(0); i += 3) {
    for (std::size_t j = 0; j < host.extent(1); ++j) host(i, j) = -host(i, j);
  }
  to_device(exec, flipped, host);
  return flipped;
}

TEST(BasisRotation, DoesNotDependOnSignsOfTheBasis) {
  const ExecutionSpace exec;
  constexpr int row_count = 11, column_count = 18;
  const auto layout = layout_of(row_count, column_count);
  const auto left = test::random_basis<float>(exec, row_count, 1);
  const auto right = test::random_basis<float>(exec, column_count, 2);
  for (const auto& [source, two_sided] : variants) {
    const auto v = two_sided ? right : Matrix<float>();
    const auto plain = make_optimizer<float>(test::rotation(source, two_sided), layout);
    const auto flipped = make_optimizer<float>(test::rotation(source, two_sided), layout);
    test::inject(exec, *plain, "w", left, v);
    test::inject(exec, *flipped, "w", with_flipped_signs(exec, left), with_flipped_signs(exec, v));
    const auto a = test::random_matrix<float>(exec, row_count, column_count, 3);
    const auto b = test::random_matrix<float>(exec, row_count, column_count, 3);
    for (int step = 0; step < 20; ++step) {
      const auto g = test::random_vector<float>(exec, layout.size(), 10 + step);
      plain->update(exec, flat(a), g, {.step = step, .learning_rate = 1e-2});
      flipped->update(exec, flat(b), g, {.step = step, .learning_rate = 1e-2});
      ASSERT_EQ(test::relative_difference(exec, a, b), 0.0) << source << two_sided << ", step " << step;
    }
  }
}

TEST(BasisRotation, InTheIdentityBasisIsAdamWWithFoldedEpsilon) {
  const ExecutionSpace exec;
  constexpr int row_count = 6, column_count = 9;
  const auto layout = layout_of(row_count, column_count);
  const auto identity = [&](int order) {
    const Matrix<double> i("strait::test::identity", order, order);
    const auto host = to_host(exec, i);
    for (int k = 0; k < order; ++k) host(k, k) = 1.0;
    to_device(exec, i, host);
    return i;
  };
  auto config = test::rotation("second", true, 1000);
  config.epsilon = 1e-2;
  const auto optimizer = make_optimizer<double>(config, layout);
  test::inject(exec, *optimizer, "w", identity(row_count), identity(column_count));
  const auto weights = test::random_vector<double>(exec, layout.size(), 1);
  const auto expected = test::random_vector<double>(exec, layout.size(), 1);
  const Vector<double> m("strait::test::m", layout.size()), v("strait::test::v", layout.size());
  for (int step = 1; step <= 20; ++step) {
    const auto g = test::random_vector<double>(exec, layout.size(), 10 + step);
    optimizer->update(exec, weights, g, {.step = step - 1, .learning_rate = 1e-2});
    kernels::adamw<double>(exec, expected, m, v, g,
                           {.learning_rate = 1e-2,
                            .beta1 = config.beta1,
                            .beta2 = config.beta2,
                            .epsilon = config.epsilon / std::sqrt(1.0 - std::pow(config.beta2, step)),
                            .weight_decay = config.weight_decay,
                            .step = step});
    ASSERT_LT(test::relative_difference(exec, weights, expected), 1e-13) << "step " << step;
  }
}

/// The gradient of sum of (a W b - t)^4 / 4 at W.
class Quartic {
 public:
  Quartic(const ExecutionSpace& exec, int row_count, int column_count)
      : exec_(exec),
        a_(test::random_matrix<double>(exec, row_count + 2, row_count, 31)),
        b_(test::random_matrix<double>(exec, column_count, column_count + 1, 32)),
        t_(test::random_matrix<double>(exec, row_count + 2, column_count + 1, 33)) {}

  Matrix<double> gradient(const Matrix<double>& w) const {
    const auto residual = product(exec_, product(exec_, a_, w), b_);
    const auto host = to_host(exec_, residual), target = to_host(exec_, t_);
    for (std::size_t i = 0; i < host.extent(0); ++i) {
      for (std::size_t j = 0; j < host.extent(1); ++j) host(i, j) = std::pow(host(i, j) - target(i, j), 3);
    }
    to_device(exec_, residual, host);
    return product(exec_, product(exec_, a_, residual, {.a = Transpose::yes}), b_, {.b = Transpose::yes});
  }

 private:
  ExecutionSpace exec_;
  Matrix<double> a_, b_, t_;
};

/// Trains W and W' = A W B^T on the same loss; both start with `injected` bases, or with their own.
void is_equivariant(const std::string& source, int row_count, int column_count, bool injected) {
  const ExecutionSpace exec;
  const auto layout = layout_of(row_count, column_count);
  const auto a = test::random_basis<double>(exec, row_count, 41);
  const auto b = test::random_basis<double>(exec, column_count, 42);
  const auto there = [&](const Matrix<double>& w) {
    return product(exec, product(exec, a, w), b, {.b = Transpose::yes});
  };
  const auto back = [&](const Matrix<double>& w) {
    return product(exec, product(exec, a, w, {.a = Transpose::yes}), b);
  };
  const auto plain = make_optimizer<double>(test::rotation(source), layout);
  const auto turned = make_optimizer<double>(test::rotation(source), layout);
  if (injected) {
    const auto left = test::random_basis<double>(exec, row_count, 43);
    const auto right = test::random_basis<double>(exec, column_count, 44);
    test::inject(exec, *plain, "w", left, right);
    test::inject(exec, *turned, "w", product(exec, left, a, {.b = Transpose::yes}),
                 product(exec, right, b, {.b = Transpose::yes}));
  }
  const Quartic loss(exec, row_count, column_count);
  const auto w = test::random_matrix<double>(exec, row_count, column_count, 45);
  const auto start = test::random_matrix<double>(exec, row_count, column_count, 45);
  const auto turned_w = there(w);
  for (int step = 0; step < 15; ++step) {
    const UpdateInfo info{.step = step, .learning_rate = 1e-2};
    plain->update(exec, flat(w), flat(loss.gradient(w)), info);
    turned->update(exec, flat(turned_w), flat(there(loss.gradient(back(turned_w)))), info);
  }
  // In its own start a basis makes the first gradient diagonal: what is off the diagonal is rounding, which
  // epsilon alone keeps small.
  EXPECT_LT(test::relative_difference(exec, turned_w, there(w)), injected ? 1e-9 : 1e-5);
  EXPECT_GT(test::relative_difference(exec, w, start), 1e-2);
}

TEST(BasisRotation, IsEquivariantUnderRotationsOfTheWeights) {
  for (const std::string source : {"second", "first"}) {
    for (const bool injected : {true, false}) {
      SCOPED_TRACE(testing::Message() << source << (injected ? ", injected" : ", own start"));
      is_equivariant(source, 6, 6, injected);
    }
  }
  is_equivariant("second", 5, 7, true);
}

TEST(BasisRotation, KeepsBasesOrthonormalForTenThousandSteps) {
  const ExecutionSpace exec;
  constexpr int row_count = 32, column_count = 88;
  const auto layout = layout_of(row_count, column_count);
  for (const std::string source : {"second", "first"}) {
    const auto optimizer = make_optimizer<float>(test::rotation(source, true, 4), layout);
    const auto weights = test::random_vector<float>(exec, layout.size(), 1);
    for (int step = 0; step < 10000; ++step) {
      const auto g = test::random_vector<float>(exec, layout.size(), 10 + step);
      optimizer->update(exec, weights, g, {.step = step, .learning_rate = 1e-3});
    }
    EXPECT_LT(test::orthonormality_error(exec, test::basis_of(exec, *optimizer, "left", "w", row_count)),
              1e-5);
    EXPECT_LT(test::orthonormality_error(exec, test::basis_of(exec, *optimizer, "right", "w", column_count)),
              1e-5);
  }
}

TEST(BasisRotation, StartsInTheEigenbasisOfItsFirstGradient) {
  const ExecutionSpace exec;
  for (const auto& [row_count, column_count] : {std::pair{5, 8}, {8, 5}, {6, 6}}) {
    const auto layout = layout_of(row_count, column_count);
    const auto g = test::random_matrix<double>(exec, row_count, column_count, 2);
    for (const std::string source : {"second", "first"}) {
      SCOPED_TRACE(testing::Message() << row_count << " x " << column_count << ", " << source);
      const auto optimizer = make_optimizer<double>(test::rotation(source), layout);
      const auto weights = test::random_vector<double>(exec, layout.size(), 1);
      optimizer->update(exec, weights, flat(g), {.learning_rate = 1e-2});
      const auto left = test::basis_of(exec, *optimizer, "left", "w", row_count);
      const auto right = test::basis_of(exec, *optimizer, "right", "w", column_count);
      EXPECT_LT(test::orthonormality_error(exec, left), 1e-12);
      EXPECT_LT(test::orthonormality_error(exec, right), 1e-12);
      const auto d = to_host(exec, product(exec, product(exec, left, g), right, {.b = Transpose::yes}));
      double last = 1e300;
      for (int i = 0; i < row_count; ++i) {
        for (int j = 0; j < column_count; ++j) {
          if (i == j) {
            EXPECT_LT(std::abs(d(i, j)), last);
            last = std::abs(d(i, j));
          } else {
            EXPECT_NEAR(d(i, j), 0.0, 1e-10);
          }
        }
      }
      EXPECT_GT(last, 1e-3);
    }
  }
}

TEST(BasisRotation, RefreshesEachMatrixInItsOwnStep) {
  const ExecutionSpace exec;
  model::ParameterLayout layout;
  for (const std::string name : {"w0", "w1", "w2"}) layout.add(name, model::ParameterRole::matrix, 4, 5);
  for (const bool stagger : {true, false}) {
    auto config = test::rotation("second", true, 3);
    config.stagger = stagger;
    const auto optimizer = make_optimizer<double>(config, layout);
    const auto weights = test::random_vector<double>(exec, layout.size(), 1);
    std::vector<Matrix<double>> before(3);
    for (int t = 1; t <= 8; ++t) {
      const auto g = test::random_vector<double>(exec, layout.size(), 10 + t);
      optimizer->update(exec, weights, g, {.step = t - 1, .learning_rate = 1e-2});
      for (int o = 0; o < 3; ++o) {
        const auto now = test::basis_of(exec, *optimizer, "left", fmt::format("w{}", o), 4);
        if (t > 1) {
          const bool due = (t + (stagger ? o : 0)) % 3 == 0;
          EXPECT_EQ(test::relative_difference(exec, now, before[o]) > 0.0, due) << "t " << t << ", o " << o;
        }
        before[o] = now;
      }
    }
  }
}

TEST(BasisRotation, LeavesConfinedMatricesAndAllElseToAdamW) {
  const ExecutionSpace exec;
  model::ParameterLayout layout;
  layout.add("w", model::ParameterRole::matrix, 4, 6);
  layout.confine(layout.add("confined", model::ParameterRole::matrix, 4, 6), model::Confinement::columns);
  layout.add("gain", model::ParameterRole::gain, 1, 6);
  for (const std::string name : {"basis-rotation", "soap"}) {
    auto config = test::rotation();
    config.name = name;
    const auto optimizer = make_optimizer<double>(config, layout);
    const auto adamw = make_optimizer<double>(test::constant_rate("adamw", 1e-2), layout);
    const auto weights = test::random_vector<double>(exec, layout.size(), 1);
    const auto expected = test::random_vector<double>(exec, layout.size(), 1);
    for (int step = 0; step < 5; ++step) {
      const auto g = test::random_vector<double>(exec, layout.size(), 10 + step);
      optimizer->update(exec, weights, g, {.step = step, .learning_rate = 1e-2});
      adamw->update(exec, expected, g, {.step = step, .learning_rate = 1e-2});
    }
    EXPECT_GT(test::relative_difference(exec, layout.view(weights, 0), layout.view(expected, 0)), 1e-3);
    for (const int i : {1, 2}) {
      EXPECT_EQ(test::relative_difference(exec, layout.view(weights, i), layout.view(expected, i)), 0.0);
    }
  }
}

TEST(BasisRotation, NeedsAMatrix) {
  model::ParameterLayout layout;
  layout.add("gain", model::ParameterRole::gain, 1, 6);
  for (const std::string name : {"basis-rotation", "soap"}) {
    auto config = test::rotation();
    config.name = name;
    test::expect_error(ExitCode::deck, "name: basis-rotation and soap need a matrix",
                       [&] { make_optimizer<float>(config, layout); });
  }
}

TEST(BasisRotation, HoldsWhatThePaperCounts) {
  constexpr std::int64_t m = 30, n = 50;
  const auto elements = [](const OptimizerConfig& config) {
    return state_bytes_needed<double>(config, layout_of(m, n)) / 8;
  };
  const std::int64_t adam = 2 * m * n;
  // The same scratch everywhere.
  const std::int64_t scratch = elements(test::rotation("first", false)) - adam - m * m;
  EXPECT_LT(scratch, 3 * m * n + n * n + 200 * n);
  EXPECT_EQ(elements(test::rotation("second", true)) - scratch, adam + 2 * (m * m + n * n));
  EXPECT_EQ(elements(test::rotation("first", true)) - scratch, adam + m * m + n * n);
  EXPECT_EQ(elements(test::rotation("second", false)) - scratch, adam + 2 * m * m);
}

TEST(BasisRotation, AllocatesNothingAfterItsStart) {
  const ExecutionSpace exec;
  const auto layout = layout_of(8, 12);
  for (const auto& [source, two_sided] : variants) {
    const auto optimizer = make_optimizer<float>(test::rotation(source, two_sided, 1), layout);
    const auto weights = test::random_vector<float>(exec, layout.size(), 1);
    const auto g = test::random_vector<float>(exec, layout.size(), 2);
    optimizer->update(exec, weights, g, {.learning_rate = 1e-2});
    const test::LabelRecorder recorder;
    optimizer->update(exec, weights, g, {.step = 1, .learning_rate = 1e-2});
    EXPECT_EQ(recorder.allocations(), std::set<std::string>{}) << source << two_sided;
    EXPECT_TRUE(recorder.regions().count("strait::optim::refresh_basis"));
  }
}

/// Ten steps at once, or with a restart from a file in the middle.
TEST(RotationState, ContinuesFromItsFile) {
  const ExecutionSpace exec;
  model::ParameterLayout layout;
  layout.add("w0", model::ParameterRole::matrix, 6, 9);
  layout.add("gain", model::ParameterRole::gain, 1, 9);
  layout.add("w1", model::ParameterRole::matrix, 7, 5);
  std::vector<OptimizerConfig> configs;
  for (const auto& [source, two_sided] : variants) configs.push_back(test::rotation(source, two_sided, 3));
  for (const std::string name : {"soap", "nadam"}) {
    configs.push_back(test::rotation("second", true, 3));
    configs.back().name = name;
  }
  for (const auto& config : configs) {
    for (const int cut : {0, 1, 5}) {
      SCOPED_TRACE(testing::Message()
                   << config.name << ", " << config.source << config.two_sided << ", " << cut);
      const auto train = [&](Optimizer<float>& optimizer, const Vector<float>& weights, int begin, int end) {
        for (int step = begin; step < end; ++step) {
          optimizer.update(exec, weights, test::random_vector<float>(exec, layout.size(), 10 + step),
                           {.step = step, .learning_rate = 1e-2});
        }
      };
      const auto whole = make_optimizer<float>(config, layout), first = make_optimizer<float>(config, layout);
      const auto second = make_optimizer<float>(config, layout);
      const auto expected = test::random_vector<float>(exec, layout.size(), 1);
      const auto weights = test::random_vector<float>(exec, layout.size(), 1);
      train(*whole, expected, 0, 10);
      train(*first, weights, 0, cut);
      const test::TemporaryDirectory folder;
      auto file = io::File::create(folder.file("state.h5"));
      first->save(exec, file.root());
      second->load(exec, file.root());
      train(*second, weights, cut, 10);
      EXPECT_EQ(test::relative_difference(exec, weights, expected), 0.0);
    }
  }
}

}  // namespace
}  // namespace strait::optim
