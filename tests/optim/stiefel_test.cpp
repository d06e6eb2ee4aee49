// The projector optimisers against PyTorch, on the manifold, and their state on file.
#include "strait/optim/stiefel.hpp"

#include "strait/io/tensor.hpp"
#include "strait/kernels/elementwise.hpp"
#include "strait/kernels/orthonormal.hpp"

#include "reference/golden_folder.hpp"
#include "support/kokkos_tools.hpp"
#include "support/spectral.hpp"
#include "support/temporary_directory.hpp"
#include "support/tensors.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace strait::optim {
namespace {

constexpr const char* names[] = {spel, manifold_muon, unconstrained_muon};

template <class T>
Matrix<T> slice(const ExecutionSpace& exec, const io::Group& group, const std::string& name, int index) {
  const auto source = group.dataset(name);
  const auto shape = source.shape();
  const Matrix<T> m("strait::test::slice", shape[1], shape[2]);
  auto host = to_host(exec, m);
  source.read(host.data(), {{index, 0, 0}, {1, shape[1], shape[2]}});
  to_device(exec, m, host);
  return m;
}

TEST(ProjectorOptimizer, TakesTheStepsOfTheTwin) {
  const ExecutionSpace exec;
  const auto file = io::File::open(test::golden_file("projectors"));
  const auto rates = file.root().read<double>("rates");
  ASSERT_EQ(rates.size(), 10u);
  for (const std::string name : names) {
    SCOPED_TRACE(name);
    const auto expected = file.root().group(name);
    const auto first = slice<double>(exec, expected, "gradients", 0);
    const auto hidden = first.extent(0), rank = first.extent(1);
    const Matrix<double> a("strait::test::a", hidden, rank), momentum("strait::test::m", hidden, rank);
    io::read_tensor(file.root(), "start", exec, a);
    const auto optimizer = make_projector_optimizer<double>(name, 1, hidden, rank);
    for (int step = 0; step < 10; ++step) {
      const auto gradient = slice<double>(exec, expected, "gradients", step);
      optimizer->update(exec, {a}, {gradient}, rates[step]);
      const auto there = slice<double>(exec, expected, "projectors", step);
      EXPECT_LT(test::relative_difference(exec, a, there), 1e-10) << "step " << step;
    }
    io::read_tensor(expected, "momentum", exec, momentum);
    const test::TemporaryDirectory folder;
    auto state = io::File::create(folder.file("state.h5"));
    optimizer->save(exec, 0, state.root());
    const Matrix<double> ours("strait::test::ours", hidden, rank);
    io::read_tensor(state.root(), "momentum", exec, ours);
    EXPECT_LT(test::relative_difference(exec, ours, momentum), 1e-10);
  }
}

template <class T>
Matrix<T> start(const ExecutionSpace& exec, int hidden, int rank, std::uint64_t stream = 1) {
  const Matrix<T> a("strait::test::a", hidden, rank);
  kernels::fill_orthonormal<T>(exec, a, 5, stream);
  return a;
}

template <class T>
Matrix<T> gradient(const ExecutionSpace& exec, int hidden, int rank, std::uint64_t stream) {
  const Matrix<T> g("strait::test::g", hidden, rank);
  kernels::fill_normal<T>(exec, Vector<T>(g.data(), g.size()), 1e-3, 11, stream);
  return g;
}

TEST(ProjectorOptimizer, StaysOnTheManifoldInFloat) {
  const ExecutionSpace exec;
  struct Run {
    std::string name;
    int hidden, rank, steps;
  };
  for (const auto& [name, hidden, rank, steps] :
       {Run{spel, 24, 8, 5000}, Run{manifold_muon, 24, 8, 500}, Run{spel, 512, 128, 200},
        Run{manifold_muon, 512, 128, 10}}) {
    SCOPED_TRACE(fmt::format("{} [{}, {}]", name, hidden, rank));
    const auto a = start<float>(exec, hidden, rank);
    const auto before = start<float>(exec, hidden, rank);
    const auto optimizer = make_projector_optimizer<float>(name, 1, hidden, rank);
    double worst = 0.0;
    for (int step = 0; step < steps; ++step) {
      optimizer->update(exec, {a}, {gradient<float>(exec, hidden, rank, step)}, 2e-3);
      if (step % 100 == 99 || step + 1 == steps) worst = std::max(worst, test::orthonormality_error(exec, a));
    }
    EXPECT_LT(worst, 1e-5);
    EXPECT_GT(test::relative_difference(exec, a, before), 1e-4 * steps) << "it moved";
  }
}

/// <a, target> grows until a spans what target spans.
TEST(ProjectorOptimizer, FindsASubspace) {
  const ExecutionSpace exec;
  constexpr int hidden = 20, rank = 4;
  const auto target = start<double>(exec, hidden, rank, 2);
  const Matrix<double> descent("strait::test::descent", hidden, rank);
  kernels::combine<double>(exec, descent, -1.0, target, 0.0, target);
  for (const std::string name : names) {
    const auto a = start<double>(exec, hidden, rank);
    EXPECT_LT(test::inner_product(exec, a, target), 0.5 * rank);
    const auto optimizer = make_projector_optimizer<double>(name, 1, hidden, rank);
    for (int step = 0; step < 300; ++step) optimizer->update(exec, {a}, {descent}, 2e-2);
    EXPECT_GT(test::inner_product(exec, a, target), 0.98 * rank) << name;
  }
}

TEST(ProjectorOptimizer, TreatsABatchAsItsMembers) {
  const ExecutionSpace exec;
  constexpr int hidden = 12, rank = 5;
  for (const std::string name : names) {
    const std::vector<Matrix<float>> together{start<float>(exec, hidden, rank, 1),
                                              start<float>(exec, hidden, rank, 2)};
    const auto batch = make_projector_optimizer<float>(name, 2, hidden, rank);
    const auto single = make_projector_optimizer<float>(name, 1, hidden, rank);
    const auto alone = start<float>(exec, hidden, rank, 2);
    for (int step = 0; step < 3; ++step) {
      const auto g = gradient<float>(exec, hidden, rank, 10 + step);
      batch->update(exec, together, {gradient<float>(exec, hidden, rank, 20 + step), g}, 1e-2);
      single->update(exec, {alone}, {g}, 1e-2);
    }
    EXPECT_EQ(test::relative_difference(exec, together[1], alone), 0.0) << name;
  }
}

TEST(ProjectorOptimizer, ContinuesFromItsFile) {
  const ExecutionSpace exec;
  constexpr int hidden = 12, rank = 5;
  for (const std::string name : names) {
    const std::vector<Matrix<float>> pair{start<float>(exec, hidden, rank, 1),
                                          start<float>(exec, hidden, rank, 2)};
    const auto gradients = [&](int step) {
      return std::vector{gradient<float>(exec, hidden, rank, 2 * step),
                         gradient<float>(exec, hidden, rank, 2 * step + 1)};
    };
    const auto both = make_projector_optimizer<float>(name, 2, hidden, rank);
    for (int step = 0; step < 3; ++step) both->update(exec, pair, gradients(step), 1e-2);
    const test::TemporaryDirectory folder;
    auto file = io::File::create(folder.file("state.h5"));
    both->save(exec, 0, file.root().create_group("boundary/0"));
    both->save(exec, 1, file.root().create_group("boundary/1"));
    const Matrix<float> a("strait::test::a", hidden, rank);
    Kokkos::deep_copy(exec, a, pair[1]);
    both->update(exec, pair, gradients(3), 1e-2);

    // The second goes on alone, as after a restart on other ranks.
    const auto again = make_projector_optimizer<float>(name, 1, hidden, rank);
    again->load(exec, 0, file.root().group("boundary/1"));
    again->update(exec, {a}, {gradients(3)[1]}, 1e-2);
    EXPECT_EQ(test::relative_difference(exec, a, pair[1]), 0.0) << name;
  }
}

TEST(ProjectorOptimizer, AllocatesNothingInAStep) {
  const ExecutionSpace exec;
  for (const std::string name : names) {
    const auto a = start<float>(exec, 12, 5), g = gradient<float>(exec, 12, 5, 1);
    const auto optimizer = make_projector_optimizer<float>(name, 1, 12, 5);
    const test::LabelRecorder recorder;
    optimizer->update(exec, {a}, {g}, 1e-2);
    EXPECT_EQ(recorder.allocations(), std::set<std::string>{}) << name;
    EXPECT_TRUE(recorder.regions().count("strait::optim::projector"));
  }
}

}  // namespace
}  // namespace strait::optim
