#include "strait/io/hdf5.hpp"

#include "support/expect_error.hpp"
#include "support/temporary_directory.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <numeric>

namespace strait::io {
namespace {

using test::expect_error;
using testing::ElementsAre;

class Hdf5 : public testing::Test {
 protected:
  test::TemporaryDirectory directory_;
  std::string path_ = directory_.file("test.h5");
};

template <class T>
class Hdf5Elements : public Hdf5 {};
using ElementTypes = testing::Types<float, double, std::int32_t, std::int64_t, std::uint8_t, std::uint16_t>;
TYPED_TEST_SUITE(Hdf5Elements, ElementTypes);

TYPED_TEST(Hdf5Elements, KeepsValuesTypeAndShape) {
  using T = TypeParam;
  std::vector<T> values(6);
  std::iota(values.begin(), values.end(), T(3));
  {
    auto file = File::create(this->path_);
    file.root().write("group/matrix", values.data(), {2, 3});
    file.close();
  }
  const auto file = File::open(this->path_);
  const auto matrix = file.root().dataset("group/matrix");
  EXPECT_EQ(matrix.type(), element_type<T>());
  EXPECT_THAT(matrix.shape(), ElementsAre(2, 3));
  EXPECT_EQ(file.root().template read<T>("group/matrix"), values);
}

TEST_F(Hdf5, AppendsRowsAcrossChunks) {
  auto file = File::create(path_);
  auto losses = file.root().create_extendible("loss", ElementType::float64, 4);
  auto pairs = file.root().create_extendible("pairs", ElementType::int64, 3, {2});
  for (std::int64_t i = 0; i < 10; ++i) {
    const double loss = 0.5 * static_cast<double>(i);
    const std::int64_t pair[] = {i, -i};
    losses.append(&loss);
    pairs.append(pair);
  }
  const std::int64_t two[] = {10, -10, 11, -11};
  pairs.append(two, 2);
  EXPECT_THAT(losses.shape(), ElementsAre(10));
  EXPECT_THAT(pairs.shape(), ElementsAre(12, 2));
  EXPECT_EQ(file.root().read<double>("loss")[9], 4.5);
  std::int64_t last[4] = {};
  pairs.read(last, {{10, 0}, {2, 2}});
  EXPECT_THAT(last, ElementsAre(10, -10, 11, -11));
  file.close();
}

TEST_F(Hdf5, ReadsAndWritesBlocks) {
  auto file = File::create(path_);
  auto matrix = file.root().create_dataset("m", ElementType::float32, {3, 4});
  matrix.write(std::vector<float>(12, 0).data());
  const float block[] = {1, 2, 3, 4};
  matrix.write(block, {{1, 2}, {2, 2}});
  EXPECT_THAT(file.root().read<float>("m"), ElementsAre(0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 3, 4));
  expect_error(ExitCode::io, "test.h5:/m: cannot write", [&] { matrix.write(block, {{2, 2}, {2, 2}}); });
}

TEST_F(Hdf5, ConvertsPrecisionButNotIntegers) {
  auto file = File::create(path_);
  file.root().write<double>("x", {1.5, -2.25});
  file.root().write<std::int64_t>("n", {1});
  EXPECT_THAT(file.root().read<float>("x"), ElementsAre(1.5f, -2.25f));
  expect_error(ExitCode::io, "/n: holds int64, expected int32", [&] { file.root().read<std::int32_t>("n"); });
  expect_error(ExitCode::io, "/n: holds int64, expected float32", [&] { file.root().read<float>("n"); });
}

TEST_F(Hdf5, KeepsAttributes) {
  const std::string deck(100000, 'd');  // more than the 64 KiB of a compact attribute
  {
    auto file = File::create(path_);
    auto root = file.root();
    root.set_attribute("deck", "short");
    root.set_attribute("deck", deck);
    root.set_attribute("ranks", 4);
    root.set_attribute("rate", 2e-3);
    root.set_attribute("names", std::vector<std::string>{"fer", "été"});
    root.write<double>("x", {1.0}).describe("nats", "loss");
    file.close();
  }
  const auto file = File::open(path_);
  EXPECT_EQ(file.root().attribute<std::string>("deck"), deck);
  EXPECT_EQ(file.root().attribute<std::int64_t>("ranks"), 4);
  EXPECT_EQ(file.root().attribute<double>("rate"), 2e-3);
  EXPECT_THAT(file.root().attribute<std::vector<std::string>>("names"), ElementsAre("fer", "été"));
  EXPECT_EQ(file.root().dataset("x").attribute<std::string>("units"), "nats");
  EXPECT_FALSE(file.root().has_attribute("missing"));
  expect_error(ExitCode::io, "test.h5:/@missing: cannot read attribute",
               [&] { file.root().attribute<double>("missing"); });
  expect_error(ExitCode::io, "/@ranks: is not a real number",
               [&] { file.root().attribute<double>("ranks"); });
}

TEST_F(Hdf5, ListsAndRemovesChildren) {
  auto file = File::create(path_);
  auto root = file.root();
  root.create_group("z");
  root.write<double>("a", {1.0});
  root.require_group("z/inner/most");
  root.require_group("z/inner");
  EXPECT_THAT(root.children(), ElementsAre("a", "z"));
  EXPECT_TRUE(root.has("z/inner/most"));
  EXPECT_FALSE(root.has("y/inner/most"));
  EXPECT_TRUE(root.is_group("z"));
  EXPECT_TRUE(root.is_dataset("a"));
  EXPECT_EQ(root.group("z").group("inner").path(), "/z/inner");
  root.remove("a");
  EXPECT_FALSE(root.has("a"));
  expect_error(ExitCode::io, "/z: cannot create: ", [&] { root.create_group("z"); });
}

TEST_F(Hdf5, KeepsText) {
  auto file = File::create(path_);
  auto names = file.root().create_extendible_text("action", 8, 7);
  names.resize(3);
  names.write_text({"forward", "", "backward_input"});
  EXPECT_EQ(names.type(), ElementType::text);
  EXPECT_THAT(names.read_text(), ElementsAre("forward", "", "backwar"));
}

TEST_F(Hdf5, NamesWhatIsMissing) {
  expect_error(ExitCode::io, "absent.h5: cannot open: ", [&] { File::open(directory_.file("absent.h5")); });
  expect_error(ExitCode::io, "No such file or directory", [&] { File::create("/nonexistent/folder/x.h5"); });
  auto file = File::create(path_);
  expect_error(ExitCode::io, "test.h5:/a/b: there is no such dataset", [&] { file.root().dataset("a/b"); });
  expect_error(ExitCode::io, "test.h5:/a: there is no such group", [&] { file.root().group("a"); });
  file.root().write<float>("w", {1, 2, 3});
  float values[4];
  expect_error(ExitCode::io, "test.h5:/w: has shape [3], expected [2, 2]", [&] {
    file.root().read("w", values, {2, 2});
  });
}

TEST_F(Hdf5, RefusesDamagedFiles) {
  {
    auto file = File::create(path_);
    file.root().write("w", std::vector<float>(1000, 1.0f));
    file.close();
  }
  const auto size = std::filesystem::file_size(path_);
  std::filesystem::resize_file(path_, size / 2);
  expect_error(ExitCode::io, "cannot open: truncated file", [&] { File::open(path_); });
  std::ofstream(path_) << "not HDF5";
  expect_error(ExitCode::io, "cannot open: ", [&] { File::open(path_); });
}

TEST_F(Hdf5, SurvivesObjectsThatOutliveTheirFile) {
  std::vector<Group> groups;
  {
    auto file = File::create(path_);
    groups.push_back(file.root().create_group("g"));
  }
  groups.clear();
  auto file = File::open_writable(path_);
  file.root().group("g").write<double>("x", {1.0});
  file.close();
  EXPECT_TRUE(File::open(path_).root().has("g/x"));
}

TEST_F(Hdf5, LetsReadersFollowAndCopiesCloseInSwmrMode) {
  auto writer = File::create(path_);
  auto losses = writer.root().create_extendible("loss", ElementType::float64, 16);
  writer.start_swmr_write();
  for (int i = 0; i < 40; ++i) {
    const double loss = i;
    losses.append(&loss);
    losses.flush();
  }
  // The bytes on the disk are what a reader in another process opens.
  const auto snapshot = directory_.file("snapshot.h5");
  std::filesystem::copy_file(path_, snapshot);
  EXPECT_EQ(File::open_swmr(snapshot).root().read<double>("loss").size(), 40u);
  expect_error(ExitCode::io, "snapshot.h5: cannot open: file is already open for write",
               [&] { File::open(snapshot); });

  const auto copy = directory_.file("copy.h5");
  writer.copy_closed_to(copy);
  losses.append(std::vector<double>{40.0}.data());
  writer.close();
  EXPECT_EQ(File::open_writable(copy).root().read<double>("loss").size(), 40u);
  EXPECT_EQ(File::open(path_).root().read<double>("loss").back(), 40.0);
}

}  // namespace
}  // namespace strait::io
