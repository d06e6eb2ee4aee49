// A ping-pong between neighbours, which all ranks learn the result of.
#include "strait/core/communicator.hpp"
#include "strait/pipeline/profiler.hpp"

#include <gtest/gtest.h>

namespace strait::test {
namespace {

TEST(MeasureLink, EveryRankLearnsTheSlowestLink) {
  const auto link = pipeline::measure_link({}, MPI_COMM_WORLD);
  EXPECT_GT(link.bandwidth, 1e6);
  EXPECT_GE(link.latency, 0.0);
  EXPECT_LT(link.latency, 1.0);
  EXPECT_GT(link.bandwidth_both, 1e6);
  double first[] = {link.bandwidth, link.latency, link.bandwidth_both};
  MPI_Bcast(first, 3, MPI_DOUBLE, 0, MPI_COMM_WORLD);
  EXPECT_EQ(link.bandwidth, first[0]);
  EXPECT_EQ(link.latency, first[1]);
  EXPECT_EQ(link.bandwidth_both, first[2]);
}

TEST(MeasureLink, OneRankHasNone) {
  EXPECT_EQ(pipeline::measure_link({}, MPI_COMM_SELF), pipeline::LinkProfile());
}

}  // namespace
}  // namespace strait::test
