#include "strait/core/device_event.hpp"

#include "strait/core/host_mirror.hpp"
#include "strait/core/pinned.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace strait {
namespace {

TEST(DeviceEvent, IsPassedUntilItIsRecordedAndOnceTheWorkBeforeItIsDone) {
  const ExecutionSpace exec;
  DeviceEvent event;
  EXPECT_TRUE(event.passed());
  const Vector<double> x("strait::test::x", 1 << 20);
  Kokkos::deep_copy(exec, x, 1.0);
  event.record(exec);
  fence(exec, "strait::test: the event is asked next");
  EXPECT_TRUE(event.passed());
}

TEST(DeviceEvent, HoldsAnotherInstance) {
  const ExecutionSpace exec;
  const ExecutionSpace exec_other = overlapping_instance(exec);
  const Vector<double> x("strait::test::x", 1 << 20), y("strait::test::y", 1 << 20);
  DeviceEvent filled, copied;
  Kokkos::deep_copy(exec, x, 7.0);
  filled.record(exec);
  filled.hold(exec_other);
  Kokkos::deep_copy(exec_other, y, x);
  copied.record(exec_other);
  copied.hold(exec);
  const auto host = to_host(exec, y);
  EXPECT_EQ(host(0), 7.0);
  EXPECT_EQ(host(host.extent(0) - 1), 7.0);
}

TEST(Uploads, ValuesMayBeReusedAtOnce) {
  const ExecutionSpace exec;
  Uploads<std::int32_t> uploads;
  std::vector<Vector<std::int32_t>> views;
  std::vector<std::int32_t> values(1000);
  for (int i = 0; i < 8; ++i) {
    views.emplace_back("strait::test::view", values.size());
    std::fill(values.begin(), values.end(), i);
    uploads.upload(exec, views.back(), values);
  }
  for (int i = 0; i < 8; ++i) {
    const auto host = to_host(exec, views[i]);
    EXPECT_EQ(host(0), i);
    EXPECT_EQ(host(host.extent(0) - 1), i);
  }
}

}  // namespace
}  // namespace strait
