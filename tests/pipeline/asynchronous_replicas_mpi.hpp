#pragma once
// Asynchronous pipelines of stages with replicas over MPI against the rule of weight versions. Included by
// one test per number of ranks.

#include "support/asynchronous_pipelines.hpp"
#include "support/codec_decks.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <string>
#include <vector>

namespace strait::test {

class AsynchronousReplicasOverMpi : public ::testing::Test {
 protected:
  /// Shapes of as many ranks as there are.
  static std::vector<std::vector<int>> shapes() {
    int ranks = 1;
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    if (ranks == 3) return {{2, 1}, {1, 2}, {3}};
    if (ranks == 4) return {{2, 2}, {3, 1}, {1, 2, 1}};
    return {{3, 2, 1}, {2, 2, 2}, {1, 3, 2}};
  }

  template <class T>
  void expect_oracle_over_mpi(const codec::Codec<T>& codec, double tolerance) {
    const AsynchronousCase rules[] = {
        {"pipedream", "stash"}, {"pipedream", "vertical-sync"}, {"pipedream", "none"}, {"2bw", "stash", 1}};
    for (const std::vector<int>& replicas : shapes()) {
      for (const AsynchronousCase& c : rules) {
        const bool alike = std::count(replicas.begin(), replicas.end(), replicas[0]) == std::ssize(replicas);
        if (std::string(c.versions) == "vertical-sync" && !alike) continue;
        SCOPED_TRACE(fmt::format("{}, {}, {}", fmt::join(replicas, "-"), c.schedule, c.versions));
        const auto setup = asynchronous_setup(c, static_cast<int>(replicas.size()), 5, replicas);
        pipeline::Pipeline<T> pipeline(exec_, setup, codec, MPI_COMM_WORLD);
        expect_oracle<T>(exec_, pipeline, setup, codec, tolerance);
      }
    }
  }

  ExecutionSpace exec_;
};

TEST_F(AsynchronousReplicasOverMpi, AreTheOracleForEveryRule) {
  expect_oracle_over_mpi<float>(exact_codec<float>(), 0.0);
}

/// The replicas' halves of a projector's gradient are added up in another order than one end adds them.
TEST_F(AsynchronousReplicasOverMpi, AreTheOracleThroughLearnedProjections) {
  const std::string mapl = "name = 'mapl'\nrank = 6\nprojector_interval = 2";
  expect_oracle_over_mpi<float>(*codec_of<float>(mapl), 1e-6);
  expect_oracle_over_mpi<double>(*codec_of<double>(mapl + "\nwire = 'float64'"), 1e-12);
}

}  // namespace strait::test
