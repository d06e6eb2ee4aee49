#pragma once
// Asynchronous pipelines over MPI against the rule of weight versions, bit for bit. Included by one test per
// number of ranks.

#include "support/asynchronous_pipelines.hpp"
#include "support/codec_decks.hpp"

namespace strait::test {

class AsynchronousOverMpi : public ::testing::Test {
 protected:
  AsynchronousOverMpi() {
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks_);
  }

  void expect_oracle_over_mpi(const AsynchronousCase& c, const codec::Codec<float>& codec, int updates,
                              const std::string& optimizer = "adamw") {
    auto setup = asynchronous_setup(c, ranks_, updates);
    setup.optimizer.name = optimizer;
    setup.optimizer.refresh = 2;
    pipeline::Pipeline<float> pipeline(exec_, setup, codec, MPI_COMM_WORLD);
    expect_oracle<float>(exec_, pipeline, setup, codec);
  }

  ExecutionSpace exec_;
  int rank_ = 0, ranks_ = 1;
};

TEST_F(AsynchronousOverMpi, IsTheOracleForEveryRule) {
  for (const AsynchronousCase& c : asynchronous_cases) {
    SCOPED_TRACE(fmt::format("{}, {}", c.schedule, c.versions));
    expect_oracle_over_mpi(c, exact_codec<float>(), ranks_ + 5);
  }
}

TEST_F(AsynchronousOverMpi, IsTheOracleThroughLearnedProjections) {
  for (const char* text : {"name = 'mapl'\nrank = 6\nprojector_interval = 2",
                           "name = 'mapl'\nrank = 6\nprojector_interval = 1\nrvq.groups = 2\nrvq.rounds = 2\n"
                           "rvq.codewords = 7\nrvq.backward = 'rvq'\nrvq.checksum_interval = 1"}) {
    for (const AsynchronousCase& c : asynchronous_cases) {
      SCOPED_TRACE(fmt::format("{}, {}, {}", text, c.schedule, c.versions));
      expect_oracle_over_mpi(c, *codec_of<float>(text), ranks_ + 5);
    }
  }
}

TEST_F(AsynchronousOverMpi, IsTheOracleInRotatedBases) {
  const auto codec = codec_of<float>("name = 'mapl'\nrank = 6\nprojector_interval = 2");
  for (const AsynchronousCase& c : asynchronous_cases) {
    SCOPED_TRACE(fmt::format("{}, {}", c.schedule, c.versions));
    expect_oracle_over_mpi(c, *codec, ranks_ + 5, "basis-rotation");
  }
}

}  // namespace strait::test
