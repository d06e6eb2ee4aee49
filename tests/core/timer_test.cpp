#include "strait/core/timer.hpp"

#include <gtest/gtest.h>

#include <thread>

namespace strait {
namespace {

void rest(int milliseconds) { std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds)); }

TEST(TimeShares, CountsEachMomentOnceForTheInnermostScope) {
  const Stopwatch whole;
  TimeShares shares;
  {
    const auto communication = shares.during(Activity::communication);
    rest(5);
    {
      const auto wait = shares.during(Activity::wait);
      rest(20);
      EXPECT_GE(shares.seconds(Activity::wait), 0.020);
    }
    EXPECT_GE(shares.seconds(Activity::wait), 0.020);
    rest(5);
  }
  rest(5);
  EXPECT_GE(shares.seconds(Activity::communication), 0.010);
  EXPECT_GE(shares.seconds(Activity::other), 0.005);
  EXPECT_EQ(shares.seconds(Activity::compute), 0.0);
  double sum = 0.0;
  for (const Activity activity : activities) sum += shares.seconds(activity);
  EXPECT_LE(sum, whole.seconds());
  EXPECT_GE(sum, 0.035);
}

TEST(TimeShares, AccumulatesOverScopes) {
  TimeShares shares;
  for (int i = 0; i < 3; ++i) {
    const auto scope = shares.during(Activity::io);
    rest(2);
  }
  const double closed = shares.seconds(Activity::io);
  EXPECT_GE(closed, 0.006);
  rest(2);
  EXPECT_EQ(shares.seconds(Activity::io), closed);
}

TEST(Stopwatch, LapsStartAnew) {
  Stopwatch watch;
  rest(10);
  const Stopwatch after;
  EXPECT_GE(watch.lap(), 0.010);
  const double since_lap = watch.seconds();
  EXPECT_LE(since_lap, after.seconds());
}

TEST(Activity, HasNames) {
  EXPECT_STREQ(name(Activity::other), "other");
  EXPECT_STREQ(name(Activity::io), "io");
}

}  // namespace
}  // namespace strait
