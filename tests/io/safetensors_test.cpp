#include "strait/io/safetensors.hpp"

#include "support/expect_error.hpp"
#include "support/small_disk.hpp"
#include "support/temporary_directory.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace strait::io {
namespace {

using test::expect_error;
using testing::ElementsAre;

class Safetensors : public testing::Test {
 protected:
  /// A file with this header and 16 bytes of data.
  void write_raw(const std::string& header) {
    std::ofstream file(path_, std::ios::binary);
    const std::uint64_t size = header.size();
    file.write(reinterpret_cast<const char*>(&size), sizeof(size));
    file << header << std::string(16, '\0');
  }

  test::TemporaryDirectory directory_;
  std::string path_ = directory_.file("model.safetensors");
};

TEST_F(Safetensors, KeepsTensorsOfEveryType) {
  const std::vector<double> exact = {0.5, -2.0, 1024.0, 0.0, -0.125, 3.0};
  {
    SafetensorsWriter writer(path_,
                             {{"half", SafetensorsType::f16, {6}},
                              {"brain", SafetensorsType::bf16, {2, 3}},
                              {"single", SafetensorsType::f32, {3, 2}},
                              {"double", SafetensorsType::f64, {1, 6}},
                              {"empty", SafetensorsType::f32, {0, 4}}},
                             {{"format", "pt"}});
    for (const auto* name : {"double", "half", "single", "brain", "empty"}) writer.write(name, exact.data());
    writer.close();
  }
  const SafetensorsReader reader(path_);
  EXPECT_THAT(reader.names(), ElementsAre("brain", "double", "empty", "half", "single"));
  EXPECT_THAT(reader.shape("brain"), ElementsAre(2, 3));
  EXPECT_EQ(reader.type("half"), SafetensorsType::f16);
  EXPECT_EQ(reader.metadata().at("format"), "pt");
  for (const auto* name : {"double", "half", "single", "brain"}) {
    EXPECT_EQ(reader.read<double>(name), exact) << name;
    EXPECT_EQ(reader.read<float>(name), std::vector<float>(exact.begin(), exact.end())) << name;
  }
  EXPECT_TRUE(reader.read<float>("empty").empty());
}

TEST_F(Safetensors, RoundsToTheStoredType) {
  SafetensorsWriter writer(path_, {{"w", SafetensorsType::bf16, {2}}});
  const float values[] = {1.00390625f, 1.01171875f};  // halfway between neighbours of bfloat16
  writer.write("w", values);
  writer.close();
  EXPECT_THAT(SafetensorsReader(path_).read<float>("w"), ElementsAre(1.0f, 1.015625f));
}

TEST_F(Safetensors, ReadsWhatTheFormatPrescribes) {
  std::ofstream file(path_, std::ios::binary);
  const std::string header = R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  const std::uint64_t size = header.size();
  const float values[] = {1.5f, -2.5f};
  file.write(reinterpret_cast<const char*>(&size), 8) << header;
  file.write(reinterpret_cast<const char*>(values), 8);
  file.close();
  EXPECT_THAT(SafetensorsReader(path_).read<float>("w"), ElementsAre(1.5f, -2.5f));
}

TEST_F(Safetensors, RefusesDamagedFiles) {
  const auto refuse = [&](const std::string& part) {
    expect_error(ExitCode::io, "model.safetensors: " + part, [&] { SafetensorsReader reader(path_); });
  };
  refuse("cannot open: No such file");
  std::ofstream(path_) << "abc";
  refuse("ends too early");
  std::ofstream(path_) << "\xff\xff\xff\xff\xff\xff\xff\xff{}";
  refuse("ends inside its header");
  write_raw("{\"w\":");
  refuse("header: ");
  write_raw(R"({"w":{"dtype":"I8","shape":[2],"data_offsets":[0,2]}})");
  refuse("w: dtype I8 is not supported");
  write_raw(R"({"w":{"dtype":"F32","shape":[5],"data_offsets":[0,20]}})");
  refuse("w: ");
  write_raw(R"({"w":{"dtype":"F32","shape":[4],"data_offsets":[0,8]}})");
  refuse("w: data_offsets do not fit");
  write_raw(R"({"w":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})");
  refuse("w: shape");
  write_raw(R"({"w":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})");
  expect_error(ExitCode::io, "has no tensor v", [&] { SafetensorsReader(path_).read<float>("v"); });
}

TEST_F(Safetensors, ReportsAFullDisk) {
  test::SmallDisk disk(64 * 1024);
  const std::vector<float> values(100000);
  expect_error(ExitCode::io, "w.safetensors: cannot write: " + disk.message(), [&] {
    SafetensorsWriter writer(disk.file("w.safetensors"), {{"w", SafetensorsType::f32, {100000}}});
    writer.write("w", values.data());
    writer.close();
  });
}

}  // namespace
}  // namespace strait::io
