// Gradients through two boundaries of a model that is held in a subspace, against finite differences in
// double.
#include "strait/kernels/elementwise.hpp"
#include "strait/kernels/matmul.hpp"

#include "support/finite_difference.hpp"
#include "support/subspace.hpp"

namespace strait::test {
namespace {

using kernels::matmul;
using kernels::Transpose;
using model::Confinement;

constexpr int stages = 3;
constexpr int micro_batches = 2;
constexpr int rank = 6;

class SubspaceGradient : public ::testing::Test {
 protected:
  SubspaceGradient()
      : setup_(setup_of({.stages = stages, .micro_batches = micro_batches, .layers = 6})),
        pipeline_(exec_, setup_, codec::SubspaceCodec<double>(subspace<double>())) {
    for (int s = 0; s < stages; ++s) {
      auto& stage = this->stage(s);
      Kokkos::deep_copy(exec_, stage.weights(), lively_weights<double>(exec_, stage.layout()));
      subspace_of(pipeline_, s).update(exec_);  // projects them
    }
    pipeline::StepInfo info = step_info(0);
    info.learning_rate = 0.0;
    trained_loss_ = pipeline_.step(info, tokens()).loss;
  }

  model::Stage<double>& stage(int s) { return pipeline_.executors()[s]->units()[0].stage(); }
  pipeline::BatchSource tokens() const { return tokens_of_step(exec_, setup_.model.vocab, 0); }
  double loss() { return pipeline_.evaluate(micro_batches, tokens()); }

  /// The gradient of a confined parameter along its free coordinates: W = U B, or T = F + B U^T.
  void expect_gradient_along_subspace(int s, int index) {
    const auto& info = stage(s).layout().entries()[index];
    const bool along_rows = info.confinement == Confinement::rows;
    const auto weight = stage(s).layout().view(stage(s).weights(), index);
    const auto gradient = stage(s).layout().view(stage(s).gradients(), index);
    auto& own = subspace_of(pipeline_, s);
    const Matrix<double> free("strait::test::free", along_rows ? info.rows : rank,
                              along_rows ? rank : info.columns);
    const Matrix<double> wanted("strait::test::wanted", free.extent(0), free.extent(1));
    const Matrix<double> part("strait::test::part", info.rows, info.columns);
    const Matrix<double> kept("strait::test::kept", info.rows, info.columns);
    kernels::copy<double>(exec_, kept, weight);
    kernels::copy<double>(exec_, part, weight);
    if (along_rows) {
      kernels::combine<double>(exec_, part, 1.0, weight, -1.0, own.table());
      matmul<double>(exec_, free, part, own.basis());
      matmul<double>(exec_, wanted, gradient, own.basis());
    } else {
      matmul<double>(exec_, free, own.basis(), part, {.a = Transpose::yes});
      matmul<double>(exec_, wanted, own.basis(), gradient, {.a = Transpose::yes});
    }
    const auto loss_of_free = [&] {
      if (along_rows) {
        kernels::copy<double>(exec_, weight, own.table());
        matmul<double>(exec_, weight, free, own.basis(), {.b = Transpose::yes, .beta = 1.0});
      } else {
        matmul<double>(exec_, weight, own.basis(), free);
      }
      return loss();
    };
    expect_gradient(exec_, info.name, free, wanted, loss_of_free, {.step = 4e-4, .entries = 16});
    EXPECT_LT(share_outside(exec_, gradient, own.basis(), info.confinement), 1e-12) << info.name;
    kernels::copy<double>(exec_, weight, kept);
  }

  ExecutionSpace exec_;
  pipeline::PipelineSetup setup_;
  pipeline::Pipeline<double> pipeline_;
  double trained_loss_ = 0.0;
};

TEST_F(SubspaceGradient, EvaluationIsTheTrainedForward) { EXPECT_DOUBLE_EQ(loss(), trained_loss_); }

TEST_F(SubspaceGradient, OfEveryParameterAtEveryStage) {
  int confined = 0;
  for (int s = 0; s < stages; ++s) {
    const auto& layout = stage(s).layout();
    for (std::size_t i = 0; i < layout.entries().size(); ++i) {
      const auto& info = layout.entries()[i];
      const int index = static_cast<int>(i);
      if (info.confinement != Confinement::none) {
        ++confined;
        expect_gradient_along_subspace(s, index);
      } else {
        expect_gradient(exec_, info.name, layout.view(stage(s).weights(), index),
                        layout.view(stage(s).gradients(), index), [this] { return loss(); },
                        {.step = 4e-4, .entries = 6});
      }
    }
  }
  EXPECT_EQ(confined, 1 + 2 * setup_.spans[stages - 1].first_layer);
}

}  // namespace
}  // namespace strait::test
