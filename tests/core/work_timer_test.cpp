#include "strait/core/work_timer.hpp"

#include "strait/core/tensor.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

namespace strait {
namespace {

TEST(WorkTimer, AddsUpPiecesUntilTheyAreTaken) {
  const ExecutionSpace exec;
  const Vector<double> x("strait::test::x", 1 << 20);
  WorkTimer timer(exec);
  EXPECT_EQ(timer.seconds(), 0.0);
  double before = 0.0;
  for (int piece = 0; piece < 2; ++piece) {
    timer.start();
    Kokkos::deep_copy(exec, x, 1.0);
    timer.stop();
    fence(exec, "strait::test: the timer is read next");
    EXPECT_GT(timer.seconds(), before);
    before = timer.seconds();
  }
  EXPECT_EQ(timer.take_seconds(), before);
  EXPECT_EQ(timer.seconds(), 0.0);
}

TEST(WorkTimer, TimeBetweenPiecesDoesNotCount) {
  const ExecutionSpace exec;
  WorkTimer timer(exec);
  timer.start();
  timer.stop();
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  timer.start();
  timer.stop();
  fence(exec, "strait::test: the timer is read next");
  EXPECT_LT(timer.seconds(), 0.05);
}

}  // namespace
}  // namespace strait
