#include "strait/app/metrics.hpp"

#include "support/expect_error.hpp"
#include "support/small_disk.hpp"
#include "support/temporary_directory.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

namespace strait::app {
namespace {

using test::expect_error;
using testing::ElementsAre;

const MetricsAttributes attributes = {{"deck", "[run]\nsteps = 3\n"}, {"ranks", std::int64_t{2}}};

MetricsLayout layout_of(int stages) {
  MetricsLayout layout;
  layout.stages = stages;
  for (int p = 0; p + 1 < stages; ++p) {
    layout.boundaries.push_back({p + 1, {{"energy", "1", "share of the energy inside the subspace"}}});
  }
  return layout;
}

StepRecord record_of(std::int64_t step, int stages) {
  StepRecord record;
  record.step = step;
  record.tokens = (step + 1) * 512;
  record.loss = 5.0 - 0.25 * static_cast<double>(step);
  record.learning_rate = 1e-3;
  record.gradient_norm = 1.5;
  record.seconds = 0.5;
  record.tokens_per_second = 1024;
  for (int s = 0; s < stages; ++s) record.stages.push_back({0.25, 0.125, 0.5 + s, 1 << 20, 1 << 21});
  for (int p = 0; p + 1 < stages; ++p) record.boundaries.push_back({4096, 8192, 100 + step});
  return record;
}

class Metrics : public testing::Test {
 protected:
  test::TemporaryDirectory directory_;
  std::string path_ = directory_.file("metrics.h5");
  std::string copy_ = directory_.file("copy.h5");
};

TEST_F(Metrics, HoldWhatTheFormatPromises) {
  auto metrics = MetricsFile::create(path_, attributes, layout_of(2));
  for (int step = 0; step < 3; ++step) metrics.append_step(record_of(step, 2));
  metrics.append_validation(3, 4.5, 4.25);
  metrics.append_diagnostics(0, 2, {0.75});
  metrics.write_trace(
      {{0, "forward", 0, 0.0, 0.1}, {1, "receive", 0, 0.0, 0.1}, {1, "forward", 0, 0.1, 0.2}});
  metrics.write_trace({{0, "forward", 3, 0.0, 0.1}, {1, "backward_input", 3, 0.1, 0.3, 0.05}});
  metrics.close();

  const auto file = io::File::open(path_);
  const auto root = file.root();
  EXPECT_THAT(root.read<std::int64_t>("train/step"), ElementsAre(0, 1, 2));
  EXPECT_THAT(root.read<std::int64_t>("train/tokens"), ElementsAre(512, 1024, 1536));
  EXPECT_THAT(root.read<double>("train/loss"), ElementsAre(5.0, 4.75, 4.5));
  for (const auto* name : {"learning_rate", "gradient_norm", "seconds", "tokens_per_second"}) {
    EXPECT_EQ(root.read<double>(std::string("train/") + name).size(), 3u) << name;
  }
  EXPECT_THAT(root.read<std::int64_t>("validation/step"), ElementsAre(3));
  EXPECT_THAT(root.read<double>("validation/loss"), ElementsAre(4.5));
  EXPECT_THAT(root.read<double>("validation/loss_without_codec"), ElementsAre(4.25));
  EXPECT_THAT(root.read<std::int64_t>("boundary/0/step"), ElementsAre(0, 1, 2));
  EXPECT_THAT(root.read<std::int64_t>("boundary/0/bytes_forward"), ElementsAre(4096, 4096, 4096));
  EXPECT_THAT(root.read<std::int64_t>("boundary/0/bytes_backward"), ElementsAre(8192, 8192, 8192));
  EXPECT_THAT(root.read<std::int64_t>("boundary/0/bytes_sync"), ElementsAre(100, 101, 102));
  EXPECT_EQ(root.group("boundary/0").attribute<std::int64_t>("after_layer"), 1);
  EXPECT_THAT(root.read<std::int64_t>("boundary/0/diagnostics/step"), ElementsAre(2));
  EXPECT_THAT(root.read<double>("boundary/0/diagnostics/energy"), ElementsAre(0.75));
  EXPECT_THAT(root.read<double>("stage/1/gradient_norm"), ElementsAre(1.5, 1.5, 1.5));
  EXPECT_THAT(root.read<double>("stage/0/seconds_compute"), ElementsAre(0.25, 0.25, 0.25));
  EXPECT_THAT(root.read<double>("stage/0/seconds_wait"), ElementsAre(0.125, 0.125, 0.125));
  EXPECT_THAT(root.read<std::int64_t>("stage/1/memory_bytes"), ElementsAre(1 << 20, 1 << 20, 1 << 20));
  EXPECT_THAT(root.read<std::int64_t>("stage/1/resident_bytes"), ElementsAre(1 << 21, 1 << 21, 1 << 21));
  EXPECT_THAT(root.read<std::int64_t>("stage/1/step"), ElementsAre(0, 1, 2));
  EXPECT_THAT(root.dataset("trace/action").read_text(), ElementsAre("forward", "backward_input"));
  EXPECT_THAT(root.read<std::int32_t>("trace/stage"), ElementsAre(0, 1));
  EXPECT_THAT(root.read<std::int64_t>("trace/micro_batch"), ElementsAre(3, 3));
  EXPECT_THAT(root.read<double>("trace/start"), ElementsAre(0.0, 0.1));
  EXPECT_THAT(root.read<double>("trace/end"), ElementsAre(0.1, 0.3));
  EXPECT_THAT(root.read<double>("trace/waited"), ElementsAre(0.0, 0.05));

  EXPECT_EQ(root.attribute<std::string>("format"), "strait-metrics");
  EXPECT_EQ(root.attribute<std::int64_t>("format_version"), 1);
  EXPECT_EQ(root.attribute<std::string>("deck"), "[run]\nsteps = 3\n");
  EXPECT_EQ(root.attribute<std::int64_t>("ranks"), 2);
  EXPECT_EQ(root.dataset("train/loss").attribute<std::string>("units"), "nats per token");
  EXPECT_FALSE(root.dataset("stage/0/seconds_wait").attribute<std::string>("long_name").empty());
}

TEST_F(Metrics, GoOnFromTheCopyOfACheckpoint) {
  {
    auto metrics = MetricsFile::create(path_, attributes, layout_of(2));
    for (int step = 0; step < 700; ++step) metrics.append_step(record_of(step, 2));
    metrics.copy_closed_to(copy_);
    for (int step = 700; step < 710; ++step) metrics.append_step(record_of(step, 2));
    // Killed here: what follows the copy is forgotten.
  }
  auto metrics = MetricsFile::resume(copy_, path_, 700, {{"ranks", std::int64_t{3}}}, layout_of(3));
  EXPECT_EQ(metrics.steps(), 700);
  metrics.append_step(record_of(700, 3));
  metrics.close();

  const auto file = io::File::open(path_);
  const auto root = file.root();
  const auto steps = root.read<std::int64_t>("train/step");
  ASSERT_EQ(steps.size(), 701u);
  for (std::size_t i = 0; i < steps.size(); ++i) EXPECT_EQ(steps[i], static_cast<std::int64_t>(i));
  EXPECT_EQ(root.read<double>("train/loss")[650], 5.0 - 0.25 * 650);
  EXPECT_EQ(root.read<std::int64_t>("stage/1/step").size(), 701u);
  EXPECT_THAT(root.read<std::int64_t>("stage/2/step"), ElementsAre(700));
  EXPECT_THAT(root.read<std::int64_t>("boundary/1/bytes_sync"), ElementsAre(800));
  EXPECT_EQ(root.attribute<std::int64_t>("ranks"), 3);
  EXPECT_EQ(root.attribute<std::string>("deck"), "[run]\nsteps = 3\n");
}

TEST_F(Metrics, RefuseACopyThatDoesNotFit) {
  auto metrics = MetricsFile::create(path_, attributes, layout_of(1));
  metrics.append_step(record_of(0, 1));
  metrics.copy_closed_to(copy_);
  metrics.close();
  const auto before = std::filesystem::file_size(path_);
  expect_error(ExitCode::io, "copy.h5: holds 1 steps, expected 5",
               [&] { MetricsFile::resume(copy_, path_, 5, attributes, layout_of(1)); });
  expect_error(ExitCode::io, "absent.h5: cannot open: No such file", [&] {
    MetricsFile::resume(directory_.file("absent.h5"), path_, 1, attributes, layout_of(1));
  });
  io::File::create(copy_).close();
  expect_error(ExitCode::io, "copy.h5: is not a strait-metrics file",
               [&] { MetricsFile::resume(copy_, path_, 0, attributes, layout_of(1)); });
  EXPECT_EQ(std::filesystem::file_size(path_), before);
}

TEST_F(Metrics, CanBeReadWhileTheyAreWritten) {
  // The bytes on the disk are what a reader in another process opens.
  const auto losses_on_disk = [&] {
    std::filesystem::copy_file(path_, copy_, std::filesystem::copy_options::overwrite_existing);
    return io::File::open_swmr(copy_).root().read<double>("train/loss");
  };
  auto metrics = MetricsFile::create(path_, attributes, layout_of(2));
  EXPECT_THAT(losses_on_disk(), ElementsAre());
  metrics.append_step(record_of(0, 2));
  EXPECT_THAT(losses_on_disk(), ElementsAre());
  metrics.flush_when_due();  // the first time is due at once
  EXPECT_THAT(losses_on_disk(), ElementsAre(5.0));
  metrics.append_step(record_of(1, 2));
  metrics.flush_when_due();
  EXPECT_THAT(losses_on_disk(), ElementsAre(5.0));
  metrics.flush();
  EXPECT_THAT(losses_on_disk(), ElementsAre(5.0, 4.75));
}

TEST_F(Metrics, ReportAFullDisk) {
  test::SmallDisk disk(512 * 1024);
  auto metrics = MetricsFile::create(disk.file("metrics.h5"), attributes, layout_of(2));
  expect_error(ExitCode::io, "metrics.h5:/", [&] {
    for (int step = 0; step < 10000; ++step) metrics.append_step(record_of(step, 2));
    metrics.flush();
  });
}

}  // namespace
}  // namespace strait::app
