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
  static constexpr double forward = 0.010, backward_input = 0.008, backward_weight = 0.006;
  static constexpr double all = forward + backward_input + backward_weight;
  static constexpr int micro_batches = 8;
  static constexpr int chunks = 2;

  void SetUp() override {
    if (!host_accessible) GTEST_SKIP() << "processes take turns at a device, in shares of its own time";
    share_one_processor();
    const TemporaryDirectory directory;
    const std::string path = directory.file("profile.h5");
    auto file = io::File::create(path);
    equal_layers(chunks * ranks_, forward, backward_input, backward_weight).save(file.root());
    file.close();
    layers_ = pipeline::Profile::load(io::File::open(path).root()).layers;
  }

  /// A stage has two blocks, in as many chunks as `chunks_of_stage`. What else runs here only adds idle time:
  /// the nearest of several steps counts.
  void expect_idle(const std::string& schedule, double bubble, int chunks_of_stage = 1) {
    const double wanted = bubble / (micro_batches * chunks * all + bubble);
    pipeline::PipelineSetup setup = setup_of({.stages = ranks_,
                                              .schedule = schedule,
                                              .micro_batches = micro_batches,
                                              .layers = chunks * ranks_,
                                              .chunks = chunks_of_stage});
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

  /// An asynchronous schedule of updates of `updates` micro-batches stands idle at no time.
  void expect_busy(const std::string& schedule, int updates) {
    pipeline::PipelineSetup setup = setup_of(
        {.stages = ranks_, .schedule = schedule, .micro_batches = updates, .layers = chunks * ranks_});
    setup.timed_layers = layers_;
    const auto shares = asynchronous_idle_shares(setup, 5, 16 / updates);
    const double least = *std::min_element(shares.begin(), shares.end());
    RecordProperty(schedule, fmt::format("{:.4f} of 0", least));
    EXPECT_NEAR(least, 0.0, 0.03) << schedule;
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

// The bubbles are those of the papers that the schedules come from, with the times of a whole stage.

TEST_F(IdleShare, GpipeAnd1f1bHaveAMicroBatchForEveryOtherStage) {
  for (const char* schedule : {"gpipe", "1f1b"}) expect_idle(schedule, (ranks_ - 1) * chunks * all);
}

TEST_F(IdleShare, InterleavingDividesItByTheChunks) {
  expect_idle("interleaved", (ranks_ - 1) * chunks * all / chunks, chunks);
}

TEST_F(IdleShare, ZeroBubbleFillsItWithTheWeightsHalves) {
  expect_idle("zb-h1", (ranks_ - 1) * chunks * (forward + backward_input - backward_weight));
}

TEST_F(IdleShare, AsynchronousPipelinesHaveNone) {
  expect_busy("pipedream", 1);
  expect_busy("2bw", ranks_);
}

}  // namespace strait::test
