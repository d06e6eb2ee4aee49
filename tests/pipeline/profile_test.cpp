// A profile comes back from its file as it was, and nothing else is taken for one.
#include "strait/pipeline/profile.hpp"

#include "support/expect_error.hpp"
#include "support/temporary_directory.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace strait::test {
namespace {

using pipeline::LayerProfile;
using pipeline::Profile;
using pipeline::Timing;

/// Every number is another one.
Profile example() {
  double seconds = 0.0;
  std::int64_t bytes = 1000;
  const auto timing = [&] {
    seconds += 1.0;
    return Timing{seconds, seconds - 0.25, seconds + 0.5};
  };
  Profile profile;
  profile.deck = "[run]\nname = \"a deck\"\n";
  profile.model = "4 layers";
  profile.hardware = "a machine";
  profile.sequences = 3;
  profile.tokens = 96;
  profile.blocks_measured = 2;
  profile.workspace_bytes = 77;
  for (const char* name : {"model.embed_tokens", "model.layers.0", "model.layers.1", "lm_head"}) {
    profile.layers.push_back({.name = name,
                              .forward = timing(),
                              .backward_input = timing(),
                              .backward_weight = timing(),
                              .update = timing(),
                              .parameter_bytes = ++bytes,
                              .state_bytes = ++bytes,
                              .activation_bytes = ++bytes,
                              .output_bytes = ++bytes});
  }
  profile.boundary = {.codec = "mapl",
                      .encode = timing(),
                      .decode = timing(),
                      .encode_gradient = timing(),
                      .decode_gradient = timing(),
                      .update = timing(),
                      .bytes_forward = ++bytes,
                      .bytes_backward = ++bytes,
                      .bytes_sync_up = 12.5,
                      .bytes_sync_down = 13.5};
  profile.link = {.bandwidth = 1e9, .latency = 1e-5, .bandwidth_both = 4e8};
  return profile;
}

class ProfileFile : public testing::Test {
 protected:
  void write(const Profile& profile) const {
    auto file = io::File::create(path_);
    profile.save(file.root());
    file.close();
  }
  Profile read() const { return Profile::load(io::File::open(path_).root()); }

  TemporaryDirectory directory_;
  std::string path_ = directory_.file("profile.h5");
};

TEST_F(ProfileFile, ComesBackAsItWas) {
  write(example());
  EXPECT_EQ(read(), example());
}

TEST_F(ProfileFile, DescribesEveryDataset) {
  write(example());
  const auto file = io::File::open(path_);
  const auto root = file.root();
  int datasets = 0;
  for (const auto& group : root.children()) {
    for (const auto& name : root.group(group).children()) {
      const auto dataset = root.group(group).dataset(name);
      EXPECT_NE(dataset.attribute<std::string>("units"), "") << dataset.path();
      EXPECT_NE(dataset.attribute<std::string>("long_name"), "") << dataset.path();
      ++datasets;
    }
  }
  EXPECT_EQ(datasets, 9 + 9 + 3);
}

TEST_F(ProfileFile, ATruncatedFileIsRefused) {
  write(example());
  std::filesystem::resize_file(path_, std::filesystem::file_size(path_) / 2);
  expect_error(ExitCode::io, path_, [&] { read(); });
}

TEST_F(ProfileFile, AFileOfSomethingElseIsRefused) {
  {
    auto file = io::File::create(path_);
    file.root().set_attribute("format", "strait-metrics");
    file.close();
  }
  expect_error(ExitCode::io, "is not a strait-profile file", [&] { read(); });
  std::ofstream(path_) << "[run]\nname = \"a deck\"\n";
  expect_error(ExitCode::io, path_, [&] { read(); });
}

TEST_F(ProfileFile, AMissingNumberIsRefusedByName) {
  write(example());
  {
    auto file = io::File::open_writable(path_);
    file.root().group("layer").remove("forward");
    file.close();
  }
  expect_error(ExitCode::io, "/layer/forward", [&] { read(); });
}

TEST_F(ProfileFile, ADatasetOfAnotherLengthIsRefused) {
  write(example());
  {
    auto file = io::File::open_writable(path_);
    auto layers = file.root().group("layer");
    layers.remove("state_bytes");
    layers.write("state_bytes", std::vector<std::int64_t>{1, 2, 3});
    file.close();
  }
  expect_error(ExitCode::io, "/layer/state_bytes", [&] { read(); });
}

TEST(LinkProfile, SharedLinksAreSlowerBothWaysAtOnce) {
  EXPECT_FALSE((pipeline::LinkProfile{.bandwidth = 1e9, .bandwidth_both = 0.5e9}).duplex());
  EXPECT_TRUE((pipeline::LinkProfile{.bandwidth = 1e9, .bandwidth_both = 0.97e9}).duplex());
}

}  // namespace
}  // namespace strait::test
