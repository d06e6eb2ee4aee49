#pragma once
// A pipeline over MPI against the same pipeline on one rank, bit for bit.

#include "support/pipeline_statistics.hpp"
#include "support/pipelines.hpp"

#include <gtest/gtest.h>

namespace strait::test {

class MpiEquality : public ::testing::Test {
 protected:
  MpiEquality() {
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks_);
  }

  pipeline::BatchSource tokens(std::int64_t step) const { return tokens_of_step(exec_, 11, step); }

  /// Trains both ways and compares losses, norms, evaluations, bytes and this rank's weights.
  template <class T>
  void expect_equal(const pipeline::PipelineSetup& setup, const codec::Codec<T>& codec) {
    constexpr int steps = 6;
    pipeline::Pipeline<T> emulated(exec_, setup, codec);
    pipeline::Pipeline<T> distributed(exec_, setup, codec, MPI_COMM_WORLD);
    const Trajectory wanted = train(exec_, emulated, setup.model.vocab, steps);
    const Trajectory found = train(exec_, distributed, setup.model.vocab, steps);
    EXPECT_EQ(found.losses, wanted.losses);
    EXPECT_EQ(found.norms, wanted.norms);
    EXPECT_EQ(found.evaluation, wanted.evaluation);
    const auto wanted_bytes = gather_statistics(emulated);
    const auto found_bytes = gather_statistics(distributed);
    EXPECT_EQ(found_bytes.boundaries, wanted_bytes.boundaries);
    EXPECT_EQ(found_bytes.tied, wanted_bytes.tied);
    EXPECT_EQ(found_bytes.ranks.size(), static_cast<std::size_t>(ranks_));

    auto& mine = distributed.executors()[0]->units();
    auto& theirs = emulated.executors()[rank_]->units();
    ASSERT_EQ(mine.size(), theirs.size());
    for (std::size_t chunk = 0; chunk < mine.size(); ++chunk) {
      EXPECT_EQ(relative_difference(exec_, mine[chunk].stage().weights(), theirs[chunk].stage().weights()),
                0.0);
    }
  }

  ExecutionSpace exec_;
  int rank_ = 0;
  int ranks_ = 1;
};

}  // namespace strait::test
