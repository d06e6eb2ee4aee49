#pragma once
// The projectors at the two ends of a boundary are on different ranks and must have the same bits at every
// step. Included by one test per number of ranks.

#include "support/projection.hpp"

#include <gtest/gtest.h>

namespace strait::test {

class ProjectionOverMpi : public ::testing::Test {
 protected:
  ProjectionOverMpi() {
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks_);
  }

  /// A [hidden, rank] row by row as this rank's end has it, of every rank; zeros where a rank has no such
  /// end.
  std::vector<float> gathered(pipeline::Pipeline<float>& pipeline, bool of_senders) {
    auto& unit = pipeline.executors()[0]->units()[0];
    std::vector<float> mine(entries_);
    if (of_senders && unit.sender()) {
      const auto a =
          to_host(exec_, dynamic_cast<codec::ProjectionSender<float>&>(*unit.sender()).projector());
      for (int k = 0; k < entries_; ++k) mine[k] = a(k / width_, k % width_);
    }
    if (!of_senders && unit.receiver()) {
      const auto a = to_host(
          exec_, dynamic_cast<codec::ProjectionReceiver<float>&>(*unit.receiver()).projector_transposed());
      for (int k = 0; k < entries_; ++k) mine[k] = a(k % width_, k / width_);
    }
    std::vector<float> all(static_cast<std::size_t>(entries_) * ranks_);
    MPI_Allgather(mine.data(), entries_, MPI_FLOAT, all.data(), entries_, MPI_FLOAT, MPI_COMM_WORLD);
    return all;
  }

  ExecutionSpace exec_;
  int rank_ = 0, ranks_ = 1;
  static constexpr int width_ = 6, entries_ = 16 * width_;  ///< of `projection` and `tiny_llama`
};

TEST_F(ProjectionOverMpi, BothEndsHaveTheSameBitsAtEveryStep) {
  for (const char* schedule : {"gpipe", "1f1b"}) {
    for (const char* rule : {optim::spel, optim::manifold_muon, optim::unconstrained_muon}) {
      for (const int interval : {1, 3}) {
        SCOPED_TRACE(fmt::format("{}, {}, every {} steps", schedule, rule, interval));
        const auto setup = setup_of({.stages = ranks_, .schedule = schedule, .micro_batches = 5});
        const codec::ProjectionCodec<float> codec(
            projection<float>(codec::AnchorKind::factorized, rule, interval));
        pipeline::Pipeline<float> pipeline(exec_, setup, codec, MPI_COMM_WORLD);
        std::vector<float> before = gathered(pipeline, true);
        for (int step = 0; step < 6; ++step) {
          pipeline.step(step_info(step), tokens_of_step(exec_, setup.model.vocab, step));
          const std::vector<float> sent = gathered(pipeline, true), received = gathered(pipeline, false);
          for (int boundary = 0; boundary + 1 < ranks_; ++boundary) {
            const auto at_sender = sent.begin() + boundary * entries_;
            const auto at_receiver = received.begin() + (boundary + 1) * entries_;
            EXPECT_TRUE(std::equal(at_sender, at_sender + entries_, at_receiver))
                << "step " << step << " boundary " << boundary;
            EXPECT_NE(std::equal(at_sender, at_sender + entries_, before.begin() + boundary * entries_),
                      (step + 1) % interval == 0)
                << "step " << step << " boundary " << boundary;
          }
          before = sent;
        }
      }
    }
  }
}

TEST_F(ProjectionOverMpi, EvaluatesPastTheCodecAsInOneProcess) {
  const auto setup = setup_of({.stages = ranks_});
  const codec::ProjectionCodec<float> codec(projection<float>(codec::AnchorKind::factorized));
  pipeline::Pipeline<float> distributed(exec_, setup, codec, MPI_COMM_WORLD), emulated(exec_, setup, codec);
  const auto tokens = tokens_of_step(exec_, setup.model.vocab, 500);
  EXPECT_EQ(distributed.evaluate(3, tokens, pipeline::Crossing::exact),
            emulated.evaluate(3, tokens, pipeline::Crossing::exact));
}

}  // namespace strait::test
