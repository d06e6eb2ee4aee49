#include "strait/app/checkpoint.hpp"

#include "support/expect_error.hpp"
#include "support/small_disk.hpp"
#include "support/temporary_directory.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <random>

namespace strait::app {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

void write_file(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream file(path, std::ios::binary);
  file << text << std::flush;
  if (!file) fail(ExitCode::io, "{}: cannot write", path.string());
}

std::string contents(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

void commit(CheckpointStore& store, std::int64_t step, const std::string& text) {
  auto pending = store.begin(step);
  write_file(pending.path() / "model.h5", text);
  write_file(pending.path() / "data" / "metrics.h5", "metrics of " + text);
  pending.commit();
}

class Checkpoints : public testing::Test {
 protected:
  Checkpoints() { store_.prepare(); }

  std::vector<std::string> names() const {
    std::vector<std::string> result;
    for (const auto& entry : fs::directory_iterator(root_)) result.push_back(entry.path().filename());
    std::sort(result.begin(), result.end());
    return result;
  }
  /// The step that a new process would restart from.
  std::int64_t latest_step(std::size_t expected_warnings = 0) const {
    CheckpointStore store(root_, 3);
    store.prepare();
    std::vector<std::string> warnings;
    const auto found = store.find_latest(warnings);
    EXPECT_EQ(warnings.size(), expected_warnings) << testing::PrintToString(warnings);
    return found ? found->step : -1;
  }
  void flip_bit(const fs::path& file, std::size_t byte) const {
    auto text = contents(file);
    text.at(byte) ^= 4;
    write_file(file, text);
  }

  test::TemporaryDirectory directory_;
  fs::path root_ = directory_.path() / "checkpoints";
  CheckpointStore store_{root_, 2};
};

TEST_F(Checkpoints, AreWholeAndNamedInLatest) {
  std::vector<std::string> warnings;
  EXPECT_FALSE(store_.find_latest(warnings));
  commit(store_, 7, "seven");
  EXPECT_THAT(names(), ElementsAre("latest", "step_7"));
  EXPECT_EQ(contents(root_ / "latest"), "step_7\n");
  EXPECT_EQ(contents(root_ / "step_7" / "model.h5"), "seven");
  EXPECT_EQ(store_.open(root_ / "step_7").step, 7);
  EXPECT_EQ(latest_step(), 7);
  const auto by_hand = "cd '" + (root_ / "step_7").string() + "' && sha256sum --check --quiet MANIFEST";
  EXPECT_EQ(std::system(by_hand.c_str()), 0);
}

TEST_F(Checkpoints, KeepTheNewest) {
  for (const int step : {0, 9, 10, 11}) commit(store_, step, "x");
  EXPECT_THAT(names(), ElementsAre("latest", "step_10", "step_11"));
}

TEST_F(Checkpoints, AreNotThereUnlessCommitted) {
  commit(store_, 1, "one");
  {
    auto pending = store_.begin(2);
    EXPECT_EQ(pending.path(), store_.partial_path(2));
    write_file(pending.path() / "model.h5", "two");
    EXPECT_EQ(latest_step(), 1);
  }
  EXPECT_THAT(names(), ElementsAre("latest", "step_1"));
}

TEST_F(Checkpoints, ArePassedOverWhenDamaged) {
  CheckpointStore store(root_, 10);
  for (int step = 1; step <= 6; ++step) commit(store, step, "contents");
  fs::resize_file(root_ / "step_6" / "model.h5", 3);
  flip_bit(root_ / "step_5" / "model.h5", 2);
  fs::remove(root_ / "step_4" / "data" / "metrics.h5");
  flip_bit(root_ / "step_3" / "MANIFEST", 30);
  fs::remove(root_ / "step_2" / "MANIFEST");

  std::vector<std::string> warnings;
  EXPECT_EQ(store.find_latest(warnings).value().step, 1);
  EXPECT_THAT(warnings, ElementsAre(HasSubstr("step_6/model.h5: is damaged: 3 bytes, expected 8"),
                                    HasSubstr("step_5/model.h5: is damaged: its SHA-256 differs"),
                                    HasSubstr("step_4/data/metrics.h5: is missing"),
                                    HasSubstr("step_3/MANIFEST: is damaged"),
                                    HasSubstr("step_2/MANIFEST: is missing")));
  expect_error(ExitCode::io, "step_5/model.h5: is damaged", [&] { store.open(root_ / "step_5"); });
  expect_error(ExitCode::io, "nowhere/MANIFEST: is missing", [&] { store.open(root_ / "nowhere"); });

  flip_bit(root_ / "step_1" / "model.h5", 0);
  expect_error(ExitCode::io, "no checkpoint is whole", [&] { store.find_latest(warnings); });
}

TEST_F(Checkpoints, TakeTheNameOfAnEarlierRun) {
  commit(store_, 4, "first");
  commit(store_, 4, "second");
  EXPECT_THAT(names(), ElementsAre("latest", "step_4"));
  EXPECT_EQ(contents(store_.open(root_ / "step_4").path / "model.h5"), "second");
}

TEST_F(Checkpoints, OfAKilledRunArePutRight) {
  commit(store_, 4, "four");
  commit(store_, 5, "five");
  // Killed while step 6 was written, and while step 4 was being replaced.
  write_file(root_ / ".step_6.partial" / "model.h5", "half");
  fs::rename(root_ / "step_4", root_ / ".step_4.replaced");
  fs::create_directory(root_ / ".step_5.replaced");
  write_file(root_ / ".latest.partial", "ste");
  store_.prepare();
  EXPECT_THAT(names(), ElementsAre("latest", "step_4", "step_5"));
  EXPECT_EQ(store_.open(root_ / "step_4").step, 4);
}

TEST_F(Checkpoints, AreReplacedWhereLatestDoesNotNameThem) {
  // Killed between the two renames of a commit: of the first checkpoint, and of a later one.
  commit(store_, 4, "four");
  fs::remove(root_ / "latest");
  EXPECT_EQ(latest_step(), 4);
  commit(store_, 5, "five");
  write_file(root_ / "latest", "step_4\n");
  EXPECT_EQ(latest_step(), 4);
  CheckpointStore restarted(root_, 2);
  restarted.prepare();
  restarted.open(root_ / "step_4");
  commit(restarted, 5, "five again");
  EXPECT_EQ(latest_step(), 5);
  EXPECT_EQ(contents(root_ / "step_5" / "model.h5"), "five again");
  EXPECT_THAT(names(), ElementsAre("latest", "step_4", "step_5"));
}

TEST_F(Checkpoints, OfAnotherFutureComeLastAndGoWhenOvertaken) {
  CheckpointStore first(root_, 10);
  for (const int step : {2, 4, 6, 8}) commit(first, step, "first run");
  CheckpointStore second(root_, 2);
  second.open(root_ / "step_2");
  commit(second, 5, "second run");
  EXPECT_THAT(names(), ElementsAre("latest", "step_2", "step_5", "step_6", "step_8"));
  EXPECT_EQ(latest_step(), 5);
  flip_bit(root_ / "step_5" / "model.h5", 0);
  EXPECT_EQ(latest_step(1), 2);
  commit(second, 9, "second run");
  EXPECT_THAT(names(), ElementsAre("latest", "step_5", "step_9"));
}

TEST_F(Checkpoints, SurviveAFullDisk) {
  test::SmallDisk disk(192 * 1024);
  const auto root = disk.path() / "checkpoints";
  CheckpointStore store(root, 2);
  store.prepare();
  commit(store, 1, std::string(50000, 'a'));
  expect_error(ExitCode::io, "step_2", [&] { commit(store, 2, std::string(200000, 'b')); });
  EXPECT_FALSE(fs::exists(store.partial_path(2)));
  std::vector<std::string> warnings;
  EXPECT_EQ(store.find_latest(warnings).value().step, 1);
  EXPECT_THAT(warnings, IsEmpty());
}

TEST_F(Checkpoints, CannotBeMadeInAFile) {
  write_file(root_ / "file", "");
  expect_error(ExitCode::io, "file/checkpoints: cannot create: Not a directory",
               [&] { CheckpointStore(root_ / "file" / "checkpoints", 1).prepare(); });
}

/// Commits in a process of its own, which says each step that is done in one byte, until it is killed.
pid_t commit_until_killed(const fs::path& root, std::int64_t first, int report) {
  const auto child = ::fork();
  if (child != 0) return child;
  CheckpointStore store(root, 2);
  store.prepare();
  std::vector<std::string> warnings;
  store.find_latest(warnings);
  for (auto step = first;; ++step) {
    commit(store, step / 2, std::string(200000, static_cast<char>('a' + step % 26)));  // each step twice
    if (::write(report, "x", 1) != 1) ::_exit(1);
  }
}

TEST_F(Checkpoints, SurviveKillsAtAnyMoment) {
  // In memory where possible: syncs are quick there, so that kills fall into every part of a commit.
  const fs::path memory = "/dev/shm";
  const test::TemporaryDirectory quick(::access(memory.c_str(), W_OK) == 0 ? memory
                                                                           : fs::temp_directory_path());
  const auto root = quick.path() / "checkpoints";
  std::mt19937 generator(3);
  std::int64_t done = 0;
  for (int round = 0; round < 40; ++round) {
    int pipe[2];
    ASSERT_EQ(::pipe(pipe), 0);
    const auto child = commit_until_killed(root, done, pipe[1]);
    ::close(pipe[1]);
    ::usleep(std::uniform_int_distribution<unsigned>(0, 40000)(generator));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    char byte;
    while (::read(pipe[0], &byte, 1) == 1) ++done;
    ::close(pipe[0]);
    if (done == 0) continue;
    CheckpointStore store(root, 2);
    store.prepare();
    std::vector<std::string> warnings;
    const auto step = store.find_latest(warnings).value().step;
    EXPECT_THAT(warnings, IsEmpty());
    EXPECT_GE(step, (done - 1) / 2);
    EXPECT_LE(step, done / 2);
  }
  EXPECT_GT(done, 0);
}

}  // namespace
}  // namespace strait::app
