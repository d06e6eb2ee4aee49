// Runs of pipelines whose boundaries project.
#include "support/projection.hpp"

#include "support/codec_ends.hpp"
#include "support/pipeline_statistics.hpp"
#include "support/temporary_directory.hpp"

#include <gtest/gtest.h>

namespace strait::test {
namespace {

using codec::AnchorKind;
using codec::ProjectionCodec;
using pipeline::BoundaryBytes;
using pipeline::Pipeline;

class Projection : public ::testing::Test {
 protected:
  template <class T>
  Trajectory run(const PipelineCase& c, const codec::ProjectionOptions& options, int steps) {
    const auto setup = setup_of(c);
    Pipeline<T> pipeline(exec_, setup, ProjectionCodec<T>(options));
    return train(exec_, pipeline, setup.model.vocab, steps);
  }

  pipeline::BatchSource tokens(std::int64_t step) const { return tokens_of_step(exec_, 11, step); }

  ExecutionSpace exec_;
};

TEST_F(Projection, OfFullRankWithoutAnchorsLosesNothing) {
  constexpr int steps = 50;
  const PipelineCase c{.stages = 3};
  const Trajectory wanted = train_in_process<float>(exec_, c, steps);
  for (const char* rule : {"", optim::spel}) {
    auto options = projection<float>(AnchorKind::none, rule);
    options.rank = 16;
    const Trajectory found = run<float>(c, options, steps);
    for (int step = 0; step < steps; ++step) {
      ASSERT_NEAR(found.losses[step], wanted.losses[step], 1e-5 * wanted.losses[step]) << "step " << step;
    }
    EXPECT_NEAR(found.evaluation, wanted.evaluation, 1e-5 * wanted.evaluation);
  }
}

TEST_F(Projection, BothEndsHaveTheSameBitsAtEveryStep) {
  for (const char* rule : {optim::spel, optim::manifold_muon, optim::unconstrained_muon}) {
    const auto setup = setup_of({.stages = 3});
    Pipeline<float> pipeline(exec_, setup,
                             ProjectionCodec<float>(projection<float>(AnchorKind::factorized, rule, 2)));
    auto before = to_host(exec_, sender(pipeline, 0).projector());
    for (int step = 0; step < 6; ++step) {
      pipeline.step(step_info(step), tokens(step));
      for (int boundary = 0; boundary < 2; ++boundary) EXPECT_TRUE(same_projector(exec_, pipeline, boundary));
      const auto after = to_host(exec_, sender(pipeline, 0).projector());
      EXPECT_EQ(relative_difference(exec_, after, before) > 0.0, step % 2 == 1) << rule << " step " << step;
      before = after;
    }
  }
}

TEST_F(Projection, BothSchedulesAreBitwiseEqual) {
  for (const AnchorKind anchors : all_anchors) {
    PipelineCase c{.stages = 3, .schedule = "gpipe", .micro_batches = 5};
    const auto options = projection<float>(anchors);
    const Trajectory gpipe = run<float>(c, options, 6);
    c.schedule = "1f1b";
    const Trajectory other = run<float>(c, options, 6);
    EXPECT_EQ(gpipe.losses, other.losses);
    EXPECT_EQ(gpipe.norms, other.norms);
    EXPECT_EQ(gpipe.evaluation, other.evaluation);
  }
}

TEST_F(Projection, EveryVariantLearns) {
  for (const AnchorKind anchors : all_anchors) {
    for (const char* rule : {"", optim::spel, optim::unconstrained_muon}) {
      const Trajectory found = run<float>({.stages = 3}, projection<float>(anchors, rule), 20);
      EXPECT_LT(found.losses.back(), 0.97 * found.losses.front());
    }
  }
}

TEST_F(Projection, AnchorsStartedAtTheTokenTableKeepMoreOfIt) {
  const auto setup = setup_of({.stages = 2});
  const auto share = [&](bool from_table) {
    auto options = projection<float>(AnchorKind::factorized);
    options.anchors_from_table = from_table;
    Pipeline<float> pipeline(exec_, setup, ProjectionCodec<float>(options));
    pipeline.step(step_info(0), tokens(0));
    return sender(pipeline, 0).diagnose(exec_).at(3);
  };
  EXPECT_EQ(share(false), 0.0);
  EXPECT_GT(share(true), 0.1);
}

TEST_F(Projection, BytesAreTheFormula) {
  for (const AnchorKind anchors : all_anchors) {
    auto options = projection<float>(anchors, optim::spel, 2);
    options.wire = codec::Wire::bfloat16;
    const auto setup = setup_of({.stages = 2, .micro_batches = 3});
    Pipeline<float> pipeline(exec_, setup, ProjectionCodec<float>(options));
    const std::int64_t numbers = 3 * (2 * 6) * 6 * 2;
    const std::int64_t ids = anchors == AnchorKind::none ? 0 : 3 * (2 * 6) * 2;
    BoundaryBytes wanted{.forward = numbers + ids, .backward = numbers};
    pipeline.step(step_info(0), tokens(0));
    EXPECT_EQ(gather_statistics(pipeline).boundaries[0], wanted);
    wanted.sync = 2 * 16 * 6 * 4;
    pipeline.step(step_info(1), tokens(1));
    EXPECT_EQ(gather_statistics(pipeline).boundaries[0], wanted);
    pipeline.evaluate(1, tokens(9));
    EXPECT_EQ(gather_statistics(pipeline).boundaries[0], BoundaryBytes{.evaluation = (numbers + ids) / 3});
  }
}

TEST_F(Projection, EvaluationChangesNothing) {
  for (const AnchorKind anchors : all_anchors) {
    const auto setup = setup_of({.stages = 3});
    const ProjectionCodec<float> codec(projection<float>(anchors, optim::spel, 3));
    Pipeline<float> plain(exec_, setup, codec), evaluated(exec_, setup, codec);
    for (int step = 0; step < 6; ++step) {
      const double wanted = plain.step(step_info(step), tokens(step)).loss;
      EXPECT_EQ(evaluated.step(step_info(step), tokens(step)).loss, wanted);
      evaluated.evaluate(2, tokens(77));
    }
  }
}

TEST_F(Projection, EvaluatedPastTheCodecTheModelIsTheUncompressedOne) {
  const auto setup = setup_of({.stages = 3});
  for (const AnchorKind anchors : all_anchors) {
    Pipeline<float> plain(exec_, setup, exact_codec<float>());
    Pipeline<float> pipeline(exec_, setup, ProjectionCodec<float>(projection<float>(anchors)));
    for (int step = 0; step < 3; ++step) pipeline.step(step_info(step), tokens(step));
    for (int rank = 0; rank < 3; ++rank) {  // the model's parameters come before the anchors
      const auto& to = plain.executors()[rank]->units()[0].stage().weights();
      const auto& from = pipeline.executors()[rank]->units()[0].stage().weights();
      Kokkos::deep_copy(exec_, to, Kokkos::subview(from, std::make_pair(std::size_t{0}, to.extent(0))));
    }
    gather_statistics(pipeline);
    const double wanted = plain.evaluate(2, tokens(9));
    EXPECT_EQ(pipeline.evaluate(2, tokens(9), pipeline::Crossing::exact), wanted);
    EXPECT_EQ(gather_statistics(pipeline).boundaries[1],
              BoundaryBytes{.evaluation = 2 * (2 * 6) * 16 * std::int64_t{sizeof(float)}});
    EXPECT_NE(pipeline.evaluate(2, tokens(9)), wanted);
  }
}

TEST_F(Projection, AMicroBatchKeepsTheProjectorThatItWasEncodedWith) {
  const codec::BoundaryShape shape{.tokens = 12, .hidden = 16, .vocab = 11, .slots = 2};
  const ProjectionCodec<double> codec(projection<double>(AnchorKind::none));
  CodecEnds<double> ends(exec_, codec, shape);
  const auto x = random_matrix<double>(exec_, 12, 16, 1);
  const auto g = random_matrix<double>(exec_, 12, 16, 2);
  const Matrix<double> out("strait::test::out", 12, 16), early("strait::test::early", 12, 16),
      late("strait::test::late", 12, 16);
  ends.send(x, out, 0);
  ends.send(x, out, 1);
  ends.send_back(g, early, 0);
  ends.update(0);
  ends.send_back(g, late, 1);  // encoded before the update
  EXPECT_EQ(relative_difference(exec_, late, early), 0.0);
  ends.send(x, out, 0);
  ends.send_back(g, late, 0);
  EXPECT_GT(relative_difference(exec_, late, early), 1e-6);
}

TEST_F(Projection, RestartGoesOnBitwise) {
  const TemporaryDirectory folder;
  for (const AnchorKind anchors : all_anchors) {
    const auto setup = setup_of({.stages = 3});
    const ProjectionCodec<float> codec(projection<float>(anchors, optim::spel, 3));
    Pipeline<float> whole(exec_, setup, codec), restarted(exec_, setup, codec);
    for (int step = 0; step < 4; ++step) whole.step(step_info(step), tokens(step));
    auto file = io::File::create(folder.file("state.h5"));
    for (int boundary = 0; boundary < 2; ++boundary) {
      auto group = file.root().create_group(std::to_string(boundary));
      sender(whole, boundary).save(exec_, group);
      receiver(whole, boundary).save(exec_, group);
      EXPECT_TRUE(sender(restarted, boundary).load(exec_, group));
      EXPECT_TRUE(receiver(restarted, boundary).load(exec_, group));
    }
    for (int rank = 0; rank < 3; ++rank) {
      auto& from = whole.executors()[rank]->units()[0];
      auto& to = restarted.executors()[rank]->units()[0];
      auto group = file.root().create_group("rank" + std::to_string(rank));
      from.optimizer().save(exec_, group);
      to.optimizer().load(exec_, group);
      Kokkos::deep_copy(exec_, to.stage().weights(), from.stage().weights());
    }
    for (int step = 4; step < 9; ++step) {
      EXPECT_EQ(restarted.step(step_info(step), tokens(step)).loss,
                whole.step(step_info(step), tokens(step)).loss);
    }
  }
}

}  // namespace
}  // namespace strait::test
