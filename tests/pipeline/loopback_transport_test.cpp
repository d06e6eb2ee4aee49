#include "strait/pipeline/loopback_transport.hpp"

#include "strait/pipeline/mailbox.hpp"

#include "support/expect_error.hpp"
#include "support/messages.hpp"

#include <gtest/gtest.h>

namespace strait::pipeline {
namespace {

using test::empty_message;
using test::fill;
using test::holds;

Envelope forward_to(int peer, int micro_batch = 0) {
  return {.channel = Channel::forward, .boundary = 0, .micro_batch = micro_batch, .peer = peer};
}

class Loopback : public ::testing::Test {
 protected:
  ExecutionSpace exec_;
  std::vector<std::unique_ptr<Transport>> ranks_ = loopback_transports(exec_, 3, 2);
};

TEST_F(Loopback, ASendLastsUntilItsReceiveIsPosted) {
  codec::Message sent = empty_message(8);
  codec::Message received = empty_message(16);
  fill(exec_, sent, 5, 40);
  const int send = ranks_[0]->send(forward_to(1), sent);
  EXPECT_FALSE(ranks_[0]->done(send));
  const int receive = ranks_[1]->receive(forward_to(0), received);
  EXPECT_TRUE(ranks_[0]->done(send));
  EXPECT_TRUE(ranks_[1]->done(receive));
  EXPECT_TRUE(holds(exec_, received, 5, 40));
}

TEST_F(Loopback, AReceiveMayBePostedFirst) {
  codec::Message sent = empty_message(8);
  codec::Message received = empty_message(8);
  const int receive = ranks_[1]->receive(forward_to(0), received);
  EXPECT_FALSE(ranks_[1]->done(receive));
  fill(exec_, sent, 8, 1);
  EXPECT_TRUE(ranks_[0]->done(ranks_[0]->send(forward_to(1), sent)));
  EXPECT_TRUE(ranks_[1]->done(receive));
  EXPECT_TRUE(holds(exec_, received, 8, 1));
}

TEST_F(Loopback, MicroBatchesDoNotMix) {
  codec::Message sent = empty_message(4);
  codec::Message received = empty_message(4);
  const int receive = ranks_[1]->receive(forward_to(0, 1), received);
  fill(exec_, sent, 4, 9);
  ranks_[0]->send(forward_to(1, 0), sent);
  EXPECT_FALSE(ranks_[1]->done(receive));
}

TEST_F(Loopback, BytesAreCountedByBoundaryAndAccount) {
  codec::Message message = empty_message(100);
  message.size = 100;
  message.sync_size = 20;
  message.header_size = 8;
  ranks_[0]->send(forward_to(1), message);
  ranks_[0]->send({.channel = Channel::backward, .boundary = 1, .micro_batch = 0, .peer = 1}, message);
  message.sync_size = message.header_size = 0;
  ranks_[0]->send({.channel = Channel::sync_up, .boundary = 1, .peer = 1}, message);
  ranks_[0]->send({.channel = Channel::sync_down, .boundary = 1, .peer = 1}, message);
  ranks_[0]->send({.channel = Channel::tied, .peer = 2}, message);
  Envelope evaluation = forward_to(1);
  evaluation.evaluation = true;
  ranks_[0]->send(evaluation, message);

  const SentBytes sent = ranks_[0]->take_sent();
  const BoundaryBytes first{.forward = 72, .sync = 20, .header = 8, .evaluation = 100};
  const BoundaryBytes second{.backward = 72, .sync = 220, .header = 8};
  EXPECT_EQ(sent.boundaries, (std::vector<BoundaryBytes>{first, second}));
  EXPECT_EQ(sent.tied, 100);
  EXPECT_EQ(ranks_[0]->take_sent().boundaries[0], BoundaryBytes());
  EXPECT_EQ(ranks_[1]->take_sent().boundaries[1], BoundaryBytes());
}

TEST_F(Loopback, AGatherIsCompleteOnceAllRanksCame) {
  std::vector<double> all;
  for (int round = 0; round < 3; ++round) {
    std::vector<int> gathers(3);
    gathers[2] = ranks_[2]->start_gather(std::vector<double>{2.0 + round, 20});
    EXPECT_FALSE(ranks_[2]->gather_done(gathers[2], all));
    gathers[0] = ranks_[0]->start_gather(std::vector<double>{0.0 + round, 0});
    gathers[1] = ranks_[1]->start_gather(std::vector<double>{1.0 + round, 10});
    for (int rank = 0; rank < 3; ++rank) {
      ASSERT_TRUE(ranks_[rank]->gather_done(gathers[rank], all));
      EXPECT_EQ(all, (std::vector<double>{0.0 + round, 0, 1.0 + round, 10, 2.0 + round, 20}));
    }
  }
}

TEST_F(Loopback, GathersOverlap) {
  std::vector<double> all;
  std::vector<int> first(3);
  for (int rank = 0; rank < 3; ++rank) first[rank] = ranks_[rank]->start_gather(std::vector<double>{1});
  const int second = ranks_[0]->start_gather(std::vector<double>{2});
  EXPECT_FALSE(ranks_[0]->gather_done(second, all));
  for (int rank = 0; rank < 3; ++rank) {
    ASSERT_TRUE(ranks_[rank]->gather_done(first[rank], all));
    EXPECT_EQ(all, std::vector<double>(3, 1.0));
  }
  for (int rank = 1; rank < 3; ++rank) ranks_[rank]->start_gather(std::vector<double>{2});
  ASSERT_TRUE(ranks_[0]->gather_done(second, all));
  EXPECT_EQ(all, std::vector<double>(3, 2.0));
}

TEST_F(Loopback, AnOutboxLendsTwoBuffers) {
  Outbox outbox(*ranks_[0], forward_to(1), 4, 2);
  Inbox inbox(*ranks_[1], forward_to(0), 4, 2);
  for (int micro_batch = 0; micro_batch < 2; ++micro_batch) {
    codec::Message* message = outbox.free();
    ASSERT_NE(message, nullptr);
    fill(exec_, *message, 4, 10 * micro_batch);
    outbox.post(micro_batch, 1, false);
  }
  EXPECT_EQ(outbox.free(), nullptr);
  EXPECT_FALSE(outbox.idle());
  inbox.expect({{0, 0}, {1, 0}, {2, 0}}, false);
  EXPECT_TRUE(outbox.idle());
  ASSERT_NE(inbox.arrived(), nullptr);
  EXPECT_TRUE(holds(exec_, *inbox.arrived(), 4, 0));

  fill(exec_, *outbox.free(), 4, 20);
  outbox.post(2, 1, false);
  EXPECT_FALSE(outbox.idle()) << "no receive is posted for the third message yet";
  inbox.release();
  EXPECT_TRUE(outbox.idle());
  EXPECT_TRUE(holds(exec_, *inbox.arrived(), 4, 10));
  inbox.release();
  EXPECT_TRUE(holds(exec_, *inbox.arrived(), 4, 20));
  inbox.release();
  EXPECT_EQ(outbox.memory_bytes() + inbox.memory_bytes(), 16);
}

TEST(Messages, BeyondOneTransferAreRefused) {
  check_message_size(2147483647);
  test::expect_error(ExitCode::deck, "2147483648 bytes", [] { check_message_size(2147483648); });
}

}  // namespace
}  // namespace strait::pipeline
