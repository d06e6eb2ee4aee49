// A full disk is reported, wherever HDF5 notices it, and the process lives on.
#include "strait/io/hdf5.hpp"

#include "support/expect_error.hpp"
#include "support/small_disk.hpp"

#include <gtest/gtest.h>

namespace strait::io {
namespace {

using test::expect_error;
using test::SmallDisk;

constexpr std::size_t disk_bytes = 256 * 1024;

void expect_usable(const std::string& path) {
  auto file = File::create(path);
  file.root().write<double>("x", {1.0});
  file.close();
  EXPECT_EQ(File::open(path).root().read<double>("x").at(0), 1.0);
}

TEST(FullDisk, ShowsInALargeWrite) {
  test::TemporaryDirectory elsewhere;
  {
    SmallDisk disk(disk_bytes);
    auto file = File::create(disk.file("model.h5"));
    const std::vector<float> values(disk_bytes);
    expect_error(ExitCode::io, "model.h5:/w: cannot write: " + disk.message(),
                 [&] { file.root().write("w", values); });
  }
  expect_usable(elsewhere.file("other.h5"));
}

TEST(FullDisk, ShowsAtTheLatestWhenTheFileCloses) {
  test::TemporaryDirectory elsewhere;
  {
    SmallDisk disk(disk_bytes);
    auto file = File::create(disk.file("model.h5"));
    std::vector<Group> groups;
    // Metadata stays in HDF5's cache until the file is closed.
    const auto create = [&] {
      for (int i = 0; i < 2000; ++i) groups.push_back(file.root().create_group("group" + std::to_string(i)));
      file.close();
    };
    expect_error(ExitCode::io, disk.message(), create);
  }
  expect_usable(elsewhere.file("other.h5"));
}

TEST(FullDisk, IsQuietInDestructors) {
  test::TemporaryDirectory elsewhere;
  {
    SmallDisk disk(disk_bytes);
    auto file = File::create(disk.file("model.h5"));
    auto losses = file.root().create_extendible("loss", ElementType::float64, 100000);
    const double one = 1.0;
    losses.append(&one);  // a chunk larger than the disk, in the chunk cache
  }
  expect_usable(elsewhere.file("other.h5"));
}

TEST(FullDisk, ShowsInSwmrMode) {
  test::TemporaryDirectory elsewhere;
  {
    SmallDisk disk(disk_bytes);
    auto file = File::create(disk.file("metrics.h5"));
    auto losses = file.root().create_extendible("loss", ElementType::float64, 1024);
    file.start_swmr_write();
    const std::vector<double> values(1024, 1.0);
    const auto append = [&] {
      for (int i = 0; i < 100; ++i) {
        losses.append(values.data(), 1024);
        losses.flush();
      }
    };
    expect_error(ExitCode::io, "metrics.h5:/loss: cannot ", append);
    expect_error(ExitCode::io, disk.message(), [&] { file.close(); });
  }
  expect_usable(elsewhere.file("other.h5"));
}

TEST(FullDisk, ShowsInACopy) {
  test::TemporaryDirectory elsewhere;
  const auto source = elsewhere.file("metrics.h5");
  auto file = File::create(source);
  file.root().write("loss", std::vector<double>(disk_bytes));
  SmallDisk disk(disk_bytes);
  expect_error(ExitCode::io, "copy.h5: cannot write: " + disk.message(),
               [&] { file.copy_closed_to(disk.file("copy.h5")); });
}

}  // namespace
}  // namespace strait::io
