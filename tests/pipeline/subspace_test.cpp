// Runs of pipelines whose model is held in a subspace.
#include "support/subspace.hpp"

#include "strait/kernels/elementwise.hpp"

#include "support/pipeline_statistics.hpp"

#include <gtest/gtest.h>

namespace strait::test {
namespace {

using codec::SubspaceCodec;
using model::Confinement;
using pipeline::BoundaryBytes;
using pipeline::Pipeline;

constexpr int last = 2;  ///< of three stages

class Subspace : public ::testing::Test {
 protected:
  template <class T>
  Trajectory run(const PipelineCase& c, const codec::Codec<T>& codec, int steps) {
    const auto setup = setup_of(c);
    Pipeline<T> pipeline(exec_, setup, codec);
    return train(exec_, pipeline, setup.model.vocab, steps);
  }

  pipeline::BatchSource tokens(std::int64_t step) const { return tokens_of_step(exec_, 11, step); }

  /// What of each confined tensor lies outside, at all stages; returns how many there are.
  template <class T>
  int expect_inside(Pipeline<T>& pipeline, double tolerance) {
    int confined = 0;
    for (int s = 0; s <= last; ++s) {
      auto& stage = pipeline.executors()[s]->units()[0].stage();
      auto& subspace = subspace_of(pipeline, s);
      const auto& entries = stage.layout().entries();
      for (std::size_t i = 0; i < entries.size(); ++i) {
        if (entries[i].confinement == Confinement::none) continue;
        ++confined;
        const auto weight = stage.layout().view(stage.weights(), static_cast<int>(i));
        const Matrix<T> part("strait::test::part", weight.extent(0), weight.extent(1));
        kernels::copy<T>(exec_, part, weight);
        if (entries[i].confinement == Confinement::rows) {
          kernels::combine<T>(exec_, part, 1.0, weight, -1.0, subspace.table());
        }
        EXPECT_LT(share_outside(exec_, part, subspace.basis(), entries[i].confinement), tolerance)
            << entries[i].name;
      }
    }
    return confined;
  }

  ExecutionSpace exec_;
};

TEST_F(Subspace, CompressedIsTheUncompressedRunOfTheSameModel) {
  constexpr int steps = 60;
  for (const char* optimizer : {"adamw", "muon"}) {
    for (const double clip : {1.0, 0.05}) {
      SCOPED_TRACE(fmt::format("{}, clip {}", optimizer, clip));
      const PipelineCase c{.stages = 3, .clip = clip, .optimizer = optimizer};
      const auto wanted = run<double>(c, UncompressedSubspaceCodec<double>(subspace<double>()), steps);
      const auto found = run<double>(c, SubspaceCodec<double>(subspace<double>()), steps);
      const auto single = run<float>(c, SubspaceCodec<float>(subspace<float>()), steps);
      for (int step = 0; step < steps; ++step) {
        ASSERT_NEAR(found.losses[step], wanted.losses[step], 1e-11 * wanted.losses[step]) << "step " << step;
        ASSERT_NEAR(found.norms[step], wanted.norms[step], 1e-9 * wanted.norms[step]) << "step " << step;
        ASSERT_NEAR(single.losses[step], wanted.losses[step], 1e-5 * wanted.losses[step]) << "step " << step;
      }
      EXPECT_NEAR(found.evaluation, wanted.evaluation, 1e-11 * wanted.evaluation);
      EXPECT_LT(found.losses.back(), 0.97 * found.losses.front());
    }
  }
}

TEST_F(Subspace, NothingIsLostAtABoundary) {
  for (const std::int64_t grassmann_interval : {0, 5}) {
    const auto setup = setup_of({.stages = 3});
    Pipeline<float> pipeline(exec_, setup, SubspaceCodec<float>(subspace<float>(grassmann_interval)));
    for (int step = 0; step < 20; ++step) {
      pipeline.step(step_info(step), tokens(step));
      for (int boundary = 0; boundary < last; ++boundary) {
        const auto quality = subspace_sender(pipeline, boundary).diagnose(exec_);
        EXPECT_LT(quality.at(0), 1e-6) << "orthonormality";
        EXPECT_GT(quality.at(1), 1.0 - 1e-6) << "energy kept";
        EXPECT_LT(quality.at(2), 1e-6) << "reconstruction error, step " << step;
      }
    }
    const double encoded = pipeline.evaluate(3, tokens(500));
    EXPECT_NEAR(pipeline.evaluate(3, tokens(500), pipeline::Crossing::exact), encoded, 1e-6 * encoded);
  }
}

TEST_F(Subspace, ConfinedParametersStayInTheSpan) {
  for (const char* optimizer : {"adamw", "muon"}) {
    const auto setup = setup_of({.stages = 3, .optimizer = optimizer});
    Pipeline<float> pipeline(exec_, setup, SubspaceCodec<float>(subspace<float>()));
    const int layers = setup.spans[last].first_layer;
    EXPECT_EQ(expect_inside(pipeline, 1e-5), 1 + 2 * layers) << "the token table and two per layer";
    for (int step = 0; step < 200; ++step) pipeline.step(step_info(step), tokens(step));
    expect_inside(pipeline, 1e-5);
  }
}

TEST_F(Subspace, UpdatesStayInTheSpanByThemselves) {
  // In double, the optimiser alone: the projection after it changes the rounding only.
  for (const char* optimizer : {"adamw", "muon"}) {
    const auto setup = setup_of({.stages = 3, .optimizer = optimizer});
    Pipeline<double> pipeline(exec_, setup, SubspaceCodec<double>(subspace<double>()));
    pipeline.step(step_info(0), tokens(0));
    for (int s = 0; s < last; ++s) {
      auto& unit = pipeline.executors()[s]->units()[0];
      for (int update = 1; update < 4; ++update) {
        unit.optimizer().update(exec_, unit.stage().weights(), unit.stage().gradients(),
                                {.step = update, .learning_rate = 5e-3});
      }
    }
    expect_inside(pipeline, 1e-9);
  }
}

TEST_F(Subspace, InitialWeightsAreTheModelsProjected) {
  const auto setup = setup_of({.stages = 3});
  Pipeline<double> plain(exec_, setup, exact_codec<double>());
  Pipeline<double> pipeline(exec_, setup, SubspaceCodec<double>(subspace<double>()));
  for (int s = 0; s <= last; ++s) {
    auto& stage = pipeline.executors()[s]->units()[0].stage();
    auto& other = plain.executors()[s]->units()[0].stage();
    auto& subspace = subspace_of(pipeline, s);
    for (std::size_t i = 0; i < stage.layout().entries().size(); ++i) {
      const auto& info = stage.layout().entries()[i];
      const auto found = stage.layout().view(stage.weights(), static_cast<int>(i));
      const auto wanted = other.layout().view(other.weights(), static_cast<int>(i));
      if (info.confinement == Confinement::none) {
        EXPECT_EQ(relative_difference(exec_, found, wanted), 0.0) << info.name;
        continue;
      }
      // What is lost of the initial values is orthogonal to the subspace.
      const Matrix<double> lost("strait::test::lost", found.extent(0), found.extent(1));
      kernels::combine<double>(exec_, lost, 1.0, wanted, -1.0, found);
      if (info.confinement == Confinement::rows) kernels::add<double>(exec_, lost, subspace.table());
      EXPECT_NEAR(share_outside(exec_, lost, subspace.basis(), info.confinement), 1.0, 1e-12) << info.name;
    }
  }
}

TEST_F(Subspace, AllStagesDrawTheSame) {
  for (const std::int64_t grassmann_interval : {0, 3}) {
    const auto setup = setup_of({.stages = 3});
    Pipeline<float> pipeline(exec_, setup, SubspaceCodec<float>(subspace<float>(grassmann_interval)));
    const auto start = to_host(exec_, subspace_of(pipeline, 0).basis());
    for (int step = 0; step < 7; ++step) {
      pipeline.step(step_info(step), tokens(step));
      for (int s = 1; s <= last; ++s) {
        EXPECT_EQ(
            relative_difference(exec_, subspace_of(pipeline, s).basis(), subspace_of(pipeline, 0).basis()),
            0.0);
        EXPECT_EQ(
            relative_difference(exec_, subspace_of(pipeline, s).table(), subspace_of(pipeline, 0).table()),
            0.0);
      }
      EXPECT_EQ(relative_difference(exec_, subspace_of(pipeline, 0).basis(), start) > 1e-4,
                grassmann_interval > 0 && step >= 2);
    }
    expect_inside(pipeline, 1e-5);
  }
}

TEST_F(Subspace, BothSchedulesAreBitwiseEqual) {
  PipelineCase c{.stages = 3, .schedule = "gpipe", .micro_batches = 5};
  const SubspaceCodec<float> codec(subspace<float>(2));
  const Trajectory gpipe = run<float>(c, codec, 6);
  c.schedule = "1f1b";
  const Trajectory other = run<float>(c, codec, 6);
  EXPECT_EQ(gpipe.losses, other.losses);
  EXPECT_EQ(gpipe.norms, other.norms);
  EXPECT_EQ(gpipe.evaluation, other.evaluation);
}

TEST_F(Subspace, BytesAreTheFormula) {
  auto options = subspace<float>(2);
  options.wire = codec::Wire::bfloat16;
  const auto setup = setup_of({.stages = 3, .micro_batches = 3});
  Pipeline<float> pipeline(exec_, setup, SubspaceCodec<float>(options));
  const std::int64_t numbers = 3 * (2 * 6) * 6 * 2;
  BoundaryBytes wanted{.forward = numbers + 3 * (2 * 6) * 2, .backward = numbers};
  for (int step = 0; step < 4; ++step) {
    pipeline.step(step_info(step), tokens(step));
    wanted.sync = step % 2 == 1 ? 16 * 6 * 4 : 0;
    const auto found = gather_statistics(pipeline);
    ASSERT_EQ(found.boundaries.size(), 2u);
    for (const BoundaryBytes& bytes : found.boundaries) EXPECT_EQ(bytes, wanted);
  }
}

TEST_F(Subspace, OneStageHasNoBoundaryAndIsFree) {
  const auto wanted = train_in_process<float>(exec_, {}, 5);
  const auto found = run<float>({}, SubspaceCodec<float>(subspace<float>()), 5);
  EXPECT_EQ(found.losses, wanted.losses);
}

}  // namespace
}  // namespace strait::test
