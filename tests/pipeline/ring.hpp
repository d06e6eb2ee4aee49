#pragma once
// The test of MPI on device memory, with an MPI that does as it should and with one that does not. Included
// by one test per number of ranks: it brings an MPI_Isend that comes before the library's, which keeps its
// name PMPI_Isend (MPI 4.0, section 15.2).

#include "strait/core/communicator.hpp"
#include "strait/core/timer.hpp"
#include "strait/pipeline/message_path.hpp"

#include "support/expect_error.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

namespace strait::test {

enum class Damage { none, flip, refuse, lose };

/// What happens to send number `send` of this rank, from 0 on since it was set.
struct DamagedSend {
  Damage damage = Damage::none;
  int send = 0;
};

inline DamagedSend damaged_send;

}  // namespace strait::test

extern "C" int MPI_Isend(const void* buffer, int count, MPI_Datatype type, int peer, int tag,
                         MPI_Comm communicator, MPI_Request* request) {
  using strait::test::Damage;
  static std::vector<std::uint8_t> damaged;
  const bool is_it = strait::test::damaged_send.send-- == 0;
  const Damage damage = is_it ? strait::test::damaged_send.damage : Damage::none;
  if (damage == Damage::refuse) return MPI_ERR_OTHER;
  if (damage == Damage::lose) peer = MPI_PROC_NULL;
  if (damage == Damage::flip) {
    int size = 0;
    PMPI_Type_size(type, &size);
    const auto* const bytes = static_cast<const std::uint8_t*>(buffer);
    damaged.assign(bytes, bytes + std::size_t(count) * size);
    damaged.back() ^= 4;
    buffer = damaged.data();
  }
  return PMPI_Isend(buffer, count, type, peer, tag, communicator, request);
}

namespace strait::test {

using pipeline::choose_message_path;
using pipeline::GpuAware;
using pipeline::MessagePath;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

class RingOfRanks : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!host_accessible) GTEST_SKIP() << "the damage is done by the host";
  }
  void TearDown() override { damaged_send = {}; }

  /// To send `send` of the last rank.
  void damage(Damage damage, int send) {
    if (rank_ == ranks_ - 1) damaged_send = {damage, send};
  }

  ExecutionSpace exec_;
  int rank_ = rank_of(MPI_COMM_WORLD), ranks_ = size_of(MPI_COMM_WORLD);
  static constexpr int messages = 6;  ///< each way
};

TEST_F(RingOfRanks, IsWholeWithThisMpi) {
  for (int i = 0; i < 3; ++i) EXPECT_THAT(pipeline::ring_test(exec_, MPI_COMM_WORLD), IsEmpty());
}

TEST_F(RingOfRanks, TellsAWrongBitOfAnyMessageEitherWay) {
  for (int send = 0; send < 2 * messages; ++send) {
    SCOPED_TRACE(send);
    damage(Damage::flip, send);
    const std::string fault = pipeline::ring_test(exec_, MPI_COMM_WORLD);
    // The first time around the next rank finds it, the second time the one before.
    const int finder = (ranks_ - 1 + (send < messages ? 1 : ranks_ - 1)) % ranks_;
    EXPECT_THAT(fault, HasSubstr(fmt::format("failed on rank {}: 1 of ", finder)));
    EXPECT_THAT(fault, HasSubstr(fmt::format("from rank {} came wrong", ranks_ - 1)));
  }
  EXPECT_THAT(pipeline::ring_test(exec_, MPI_COMM_WORLD), IsEmpty());
}

TEST_F(RingOfRanks, TellsThatMpiRefusesAMessage) {
  for (const int send : {0, messages - 1, messages}) {
    SCOPED_TRACE(send);
    damage(Damage::refuse, send);
    const Stopwatch watch;
    EXPECT_THAT(pipeline::ring_test(exec_, MPI_COMM_WORLD),
                AnyOf(HasSubstr(fmt::format("failed on rank {}: MPI refused a message", ranks_ - 1)),
                      HasSubstr(fmt::format("from rank {} came wrong", ranks_ - 1))));
    EXPECT_LT(watch.seconds(), 20.0) << "nobody waits for what cannot come";
  }
  EXPECT_THAT(pipeline::ring_test(exec_, MPI_COMM_WORLD), IsEmpty());
}

TEST_F(RingOfRanks, LosesItsPatienceWithAMessageThatIsLost) {
  damage(Damage::lose, 2);
  EXPECT_THAT(pipeline::ring_test(exec_, MPI_COMM_WORLD, 0.5),
              HasSubstr("failed on rank 0: a message did not come or go in 0.5 s"));
  EXPECT_THAT(pipeline::ring_test(exec_, MPI_COMM_WORLD), IsEmpty());
}

TEST_F(RingOfRanks, DecidesHowMessagesTravel) {
  const auto path = [&](GpuAware wanted) { return choose_message_path(exec_, MPI_COMM_WORLD, wanted); };
  for (const GpuAware wanted : {GpuAware::automatic, GpuAware::on}) {
    EXPECT_FALSE(path(wanted).staged);
    EXPECT_THAT(path(wanted).text(), StartsWith("direct: "));
  }
  EXPECT_TRUE(path(GpuAware::off).staged);
  EXPECT_THAT(path(GpuAware::off).text(), StartsWith("staged through host memory: "));

  damage(Damage::flip, 1);
  const MessagePath found = path(GpuAware::automatic);
  EXPECT_TRUE(found.staged);
  EXPECT_THAT(found.text(), HasSubstr("came wrong"));
  damage(Damage::flip, messages + 1);
  expect_error(ExitCode::environment, "gpu_aware = \"on\"", [&] { path(GpuAware::on); });
}

/// One rank's MPI is enough.
TEST_F(RingOfRanks, IsNotTriedWhereMpiSaysNo) {
  const bool yes = rank_ != ranks_ - 1;
  damage(Damage::flip, 0);
  EXPECT_THAT(choose_message_path(exec_, MPI_COMM_WORLD, GpuAware::automatic, yes).text(),
              HasSubstr("takes no device memory"));
  expect_error(ExitCode::environment, "takes no device memory",
               [&] { choose_message_path(exec_, MPI_COMM_WORLD, GpuAware::on, yes); });
  damaged_send = {};
  EXPECT_FALSE(choose_message_path(exec_, MPI_COMM_WORLD, GpuAware::on, true).staged);
}

}  // namespace strait::test
