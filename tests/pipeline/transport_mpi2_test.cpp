// Two ranks that exchange messages over MPI.
#include "strait/pipeline/mailbox.hpp"
#include "strait/pipeline/mpi_transport.hpp"

#include "support/messages.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

namespace strait::pipeline {
namespace {

using test::empty_message;
using test::fill;
using test::holds;

class Mpi : public ::testing::Test {
 protected:
  explicit Mpi(bool staged = !host_accessible)
      : transport_(exec_, MPI_COMM_WORLD, 1, {}, MessagePath{.staged = staged}) {}

  void finish(Transport& transport, int request) {
    while (!transport.done(request)) transport.wait();
  }

  std::vector<double> gather(Transport& transport, const std::vector<double>& record) {
    const int gather = transport.start_gather(record);
    std::vector<double> all;
    while (!transport.gather_done(gather, all)) transport.wait();
    return all;
  }

  ExecutionSpace exec_;
  MpiTransport transport_;
  int rank_ = transport_.rank();
  int peer_ = 1 - rank_;
  Channel out_ = rank_ == 0 ? Channel::forward : Channel::backward;
  Channel in_ = rank_ == 0 ? Channel::backward : Channel::forward;

  Envelope envelope(Channel channel, int micro_batch) const {
    return {.channel = channel, .boundary = 0, .micro_batch = micro_batch, .peer = peer_};
  }
};

/// With and without host buffers between MPI and the messages.
class Messages : public Mpi, public ::testing::WithParamInterface<bool> {
 protected:
  Messages() : Mpi(GetParam()) {}
};
INSTANTIATE_TEST_SUITE_P(Staged, Messages,
                         ::testing::ValuesIn(host_accessible ? std::vector{false, true} : std::vector{true}));

TEST_P(Messages, LongOnesCrossWithoutDeadlock) {
  constexpr std::int64_t bytes = 4 << 20;
  codec::Message sent = empty_message(bytes);
  codec::Message received = empty_message(bytes);
  fill(exec_, sent, bytes, 3 + rank_);
  const int send = transport_.send(envelope(out_, 0), sent);
  const int receive = transport_.receive(envelope(in_, 0), received);
  finish(transport_, receive);
  finish(transport_, send);
  EXPECT_TRUE(holds(exec_, received, bytes, 3 + peer_));
}

TEST_P(Messages, MayBeShorterThanTheirReceive) {
  codec::Message sent = empty_message(100);
  codec::Message received = empty_message(1000);
  for (const std::int64_t size : {0, 1, 77, 100}) {
    fill(exec_, sent, size, 5);
    const int receive = transport_.receive(envelope(in_, 2), received);
    const int send = transport_.send(envelope(out_, 2), sent);
    finish(transport_, receive);
    finish(transport_, send);
    EXPECT_TRUE(holds(exec_, received, size, 5)) << size;
  }
  const BoundaryBytes bytes = transport_.take_sent().boundaries[0];
  EXPECT_EQ(rank_ == 0 ? bytes.forward : bytes.backward, 178);
  EXPECT_EQ(rank_ == 0 ? bytes.backward : bytes.forward, 0);
}

TEST_P(Messages, KeepTheirOrderInMailboxes) {
  constexpr int count = 50;
  Outbox outbox(transport_, envelope(out_, -1), 64, 2);
  Inbox inbox(transport_, envelope(in_, -1), 64, 2);
  const int peer = 1 - rank_;
  std::vector<Arrival> arrivals(count);
  for (int i = 0; i < count; ++i) arrivals[i] = {i, peer};
  inbox.expect(arrivals, false);
  int sent = 0;
  for (int received = 0; received < count;) {
    transport_.progress();
    if (codec::Message* message = sent < count ? outbox.free() : nullptr) {
      fill(exec_, *message, 1 + sent, sent);
      outbox.post(sent++, peer, false);
    }
    if (const codec::Message* message = inbox.arrived()) {
      EXPECT_TRUE(holds(exec_, *message, 1 + received, received));
      inbox.release();
      ++received;
    }
  }
  while (!outbox.idle()) transport_.wait();
}

TEST_F(Mpi, GathersComeInTheOrderOfTheRanks) {
  for (int round = 0; round < 20; ++round) {
    const std::vector<double> all = gather(transport_, {1.0 * rank_, 10.0 * round});
    EXPECT_EQ(all, (std::vector<double>{0, 10.0 * round, 1, 10.0 * round}));
  }
}

TEST_F(Mpi, AWaitForASlowPeerCallsItsHook) {
  std::vector<double> lengths;
  MpiTransport transport(exec_, MPI_COMM_WORLD, 1, [&](double seconds) { lengths.push_back(seconds); });
  if (rank_ == 1) std::this_thread::sleep_for(std::chrono::milliseconds(100));
  gather(transport, {1.0});
  if (rank_ == 0) {
    ASSERT_GE(lengths.size(), 3U);
    EXPECT_GE(lengths.front(), 1e-3);
    EXPECT_GT(lengths.back(), lengths.front());
  }
}

TEST_F(Mpi, WhatTheHookThrowsEndsTheWait) {
  bool angry = rank_ == 0;
  MpiTransport transport(exec_, MPI_COMM_WORLD, 1, [&](double) {
    if (angry) throw std::runtime_error("too long");
  });
  if (rank_ == 1) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  const int gather = transport.start_gather(std::vector<double>{1.0});
  if (rank_ == 0) {
    EXPECT_THROW(while (true) transport.wait(), std::runtime_error);
  }
  angry = false;
  std::vector<double> all;
  while (!transport.gather_done(gather, all)) transport.wait();
  EXPECT_EQ(all, (std::vector<double>{1, 1}));
}

TEST_F(Mpi, ClocksStartTogether) {
  if (rank_ == 1) std::this_thread::sleep_for(std::chrono::milliseconds(300));
  MpiTransport transport(exec_, MPI_COMM_WORLD, 1);
  const std::vector<double> seconds = gather(transport, {transport.seconds()});
  EXPECT_NEAR(seconds[0], seconds[1], 0.15);
}

}  // namespace
}  // namespace strait::pipeline
