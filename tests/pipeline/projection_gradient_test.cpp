// Gradients through two boundaries that project, against finite differences in double.
#include "strait/io/tensor.hpp"
#include "strait/kernels/elementwise.hpp"
#include "strait/kernels/matmul.hpp"

#include "support/finite_difference.hpp"
#include "support/projection.hpp"
#include "support/temporary_directory.hpp"

namespace strait::test {
namespace {

using codec::AnchorKind;
using kernels::matmul;
using kernels::Transpose;
using pipeline::Pipeline;

constexpr int stages = 3;
constexpr int micro_batches = 2;

class ProjectionGradient : public ::testing::TestWithParam<AnchorKind> {
 protected:
  ProjectionGradient()
      : setup_(setup_of({.stages = stages, .micro_batches = micro_batches, .layers = 3})),
        pipeline_(exec_, setup_,
                  codec::ProjectionCodec<double>(projection<double>(GetParam(), optim::spel, 2))) {
    for (int rank = 0; rank < stages; ++rank) {
      auto& stage = this->stage(rank);
      Kokkos::deep_copy(exec_, stage.weights(), lively_weights<double>(exec_, stage.layout()));
    }
    pipeline::StepInfo info = step_info(0);
    info.learning_rate = 0.0;
    trained_loss_ = pipeline_.step(info, tokens()).loss;
  }

  model::Stage<double>& stage(int rank) { return pipeline_.executors()[rank]->units()[0].stage(); }
  pipeline::BatchSource tokens() const { return tokens_of_step(exec_, setup_.model.vocab, 0); }
  double loss() { return pipeline_.evaluate(micro_batches, tokens()); }

  /// Both halves of dA, as an update would find them.
  Matrix<double> projector_gradient(int boundary) {
    codec::Message message;
    message.bytes = Vector<std::uint8_t>("strait::test::message", 16 * 6 * sizeof(double));
    receiver(pipeline_, boundary).send_sync_up(exec_, message);
    sender(pipeline_, boundary).receive_sync_up(exec_, message);
    return sender(pipeline_, boundary).take_gradient(exec_);
  }

  /// Gives both ends of a boundary another A.
  void set_projector(int boundary, const Matrix<double>& a) {
    auto file = io::File::create(folder_.file("projector.h5"));
    io::write_tensor(file.root(), "A", exec_, a);
    sender(pipeline_, boundary).load(exec_, file.root());
    receiver(pipeline_, boundary).load(exec_, file.root());
    file.close();
  }

  ExecutionSpace exec_;
  TemporaryDirectory folder_;
  pipeline::PipelineSetup setup_;
  Pipeline<double> pipeline_;
  double trained_loss_ = 0.0;
};

TEST_P(ProjectionGradient, EvaluationIsTheTrainedForward) { EXPECT_DOUBLE_EQ(loss(), trained_loss_); }

TEST_P(ProjectionGradient, OfAnchorsAndOfWeightsBeforeTheBoundaries) {
  for (int rank = 0; rank < stages; ++rank) {
    const auto& layout = stage(rank).layout();
    bool has_anchors = false;
    for (std::size_t i = 0; i < layout.entries().size(); ++i) {
      const auto& info = layout.entries()[i];
      has_anchors = has_anchors || info.role == model::ParameterRole::anchor;
      // dX reaches the weights before the boundary; one matrix of each stage says whether it is right.
      if (info.role != model::ParameterRole::anchor && !info.name.ends_with("down_proj.weight")) continue;
      expect_gradient(exec_, info.name, layout.view(stage(rank).weights(), static_cast<int>(i)),
                      layout.view(stage(rank).gradients(), static_cast<int>(i)), [this] { return loss(); },
                      {.entries = 24});
    }
    EXPECT_EQ(has_anchors, GetParam() == AnchorKind::factorized || GetParam() == AnchorKind::full);
  }
}

TEST_P(ProjectionGradient, OfTheProjectorHasBothHalves) {
  for (int boundary = 0; boundary < stages - 1; ++boundary) {
    const Matrix<double> gradient("strait::test::gradient", 16, 6);
    kernels::copy<double>(exec_, gradient, projector_gradient(boundary));
    const Matrix<double> a("strait::test::projector", 16, 6);
    kernels::copy<double>(exec_, a, sender(pipeline_, boundary).projector());
    expect_gradient(exec_, fmt::format("A of boundary {}", boundary), a, gradient,
                    [&] {
                      set_projector(boundary, a);
                      return loss();
                    },
                    {.entries = 12});
    set_projector(boundary, a);
  }
}

TEST_P(ProjectionGradient, OfTheProjectorIsSymmetricInTheSubspace) {
  for (int boundary = 0; boundary < stages - 1; ++boundary) {
    const Matrix<double> product("strait::test::product", 6, 6);
    const auto gradient = projector_gradient(boundary);
    matmul<double>(exec_, product, sender(pipeline_, boundary).projector(), gradient, {.a = Transpose::yes});
    const auto p = to_host(exec_, product);
    const double size = std::sqrt(inner_product(exec_, gradient, gradient));
    ASSERT_GT(size, 0.0);
    for (int i = 0; i < 6; ++i) {
      for (int j = 0; j < i; ++j) EXPECT_NEAR(p(i, j), p(j, i), 1e-10 * size);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Anchors, ProjectionGradient, ::testing::ValuesIn(all_anchors));

}  // namespace
}  // namespace strait::test
