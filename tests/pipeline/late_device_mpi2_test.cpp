// Messages of two ranks whose devices are late: MPI gets a buffer when the device is done with it, not
// before, and all goes on as without delays.
#include "strait/pipeline/mailbox.hpp"

#include "support/codec_decks.hpp"
#include "support/late_device.hpp"
#include "support/messages.hpp"
#include "support/pipelines.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

namespace strait::test {
namespace {

using pipeline::Channel;
using pipeline::Envelope;
using pipeline::Executor;

/// Without and with host buffers between MPI and the messages.
class LateDevices : public ::testing::TestWithParam<bool> {
 protected:
  LateDevices() { MPI_Comm_rank(MPI_COMM_WORLD, &rank_); }

  void SetUp() override {
    if (!host_accessible) GTEST_SKIP() << "the device that is there has its own pace";
  }

  Envelope envelope(bool out, std::int64_t micro_batch) const {
    return {.channel = (rank_ == 0) == out ? Channel::forward : Channel::backward,
            .boundary = 0,
            .micro_batch = micro_batch,
            .peer = 1 - rank_};
  }

  ExecutionSpace exec_;
  int rank_ = 0;
  bool staged_ = GetParam();
};
INSTANTIATE_TEST_SUITE_P(Staged, LateDevices, ::testing::Bool());

/// Each message is filled, and read, as late as the device gets to it. Copies to and from host buffers are
/// made at once on hosts: with them messages are filled and read at once too.
TEST_P(LateDevices, FillAndReadMessagesInOrder) {
  constexpr int count = 60, capacity = 1 << 17;  // of both protocols of MPI
  const auto size = [](int i) { return i % 7 == 3 ? capacity - i : 1 + 5 * i; };
  LateDevice device(6, 17 + rank_);
  LateTransport transport(device, exec_, MPI_COMM_WORLD, 1, pipeline::WaitHook(),
                          pipeline::MessagePath{.staged = staged_});
  const auto give = [&](const std::function<void()>& piece) {
    if (staged_) {
      piece();
    } else {
      device.give(piece);
    }
  };
  pipeline::Outbox outbox(transport, envelope(true, -1), capacity, 2);
  pipeline::Inbox inbox(transport, envelope(false, -1), capacity, 2);
  std::vector<pipeline::Arrival> arrivals;
  for (int i = 0; i < count; ++i) arrivals.push_back({i, 1 - rank_});
  inbox.expect(arrivals, false);
  int sent = 0, received = 0, wrong = 0;
  while (true) {
    transport.progress();
    bool moved = false;
    if (codec::Message* message = sent < count ? outbox.free() : nullptr) {
      message->size = size(sent);
      give([this, message, bytes = message->size, first = sent] {
        codec::Message filled = *message;
        fill(exec_, filled, bytes, first + 100 * rank_);
      });
      outbox.post(sent++, 1 - rank_, false);
      moved = true;
    }
    if (const codec::Message* message = received < count ? inbox.arrived() : nullptr) {
      EXPECT_EQ(message->size, size(received));
      give([this, message, bytes = message->size, first = received, &wrong] {
        codec::Message read = *message;
        read.size = bytes;
        if (!holds(exec_, read, bytes, first + 100 * (1 - rank_))) ++wrong;
      });
      inbox.release();
      ++received;
      moved = true;
    }
    if (sent == count && received == count && outbox.idle()) break;
    if (!moved) transport.wait();
  }
  device.finish();
  EXPECT_EQ(wrong, 0);
  EXPECT_GT(device.refusals(), count);
}

/// Every point is passed when it is asked for the second time: as on an idle device, where a point takes a
/// moment too. Such moments must not end a wait, which would then never grow long enough to be noticed.
TEST_P(LateDevices, WaitsLastWhileTheyAreIdle) {
  class Moment : public pipeline::MpiTransport {
   public:
    using MpiTransport::MpiTransport;

   protected:
    void record(DeviceEvent& event, const ExecutionSpace&) override { asked_[&event] = 0; }
    bool passed(const DeviceEvent& event) override { return ++asked_[&event] > 1; }

   private:
    std::map<const DeviceEvent*, int> asked_;
  };
  std::vector<double> lengths;
  Moment transport(
      exec_, MPI_COMM_WORLD, 1, [&](double seconds) { lengths.push_back(seconds); },
      pipeline::MessagePath{.staged = staged_});
  if (rank_ == 1) std::this_thread::sleep_for(std::chrono::milliseconds(100));
  const codec::Message sent{.bytes = Vector<std::uint8_t>("strait::test::sent", 9), .size = 9};
  codec::Message received{.bytes = Vector<std::uint8_t>("strait::test::received", 9)};
  const int receive = transport.receive(envelope(false, 0), received);
  const int send = transport.send(envelope(true, 0), sent);
  int waits = 0;
  bool is_here = false, has_left = false;
  while (true) {
    transport.progress();
    is_here = is_here || transport.done(receive);
    has_left = has_left || transport.done(send);
    if (is_here && has_left) break;
    transport.wait();
    ++waits;
  }
  EXPECT_EQ(received.size, 9);
  EXPECT_LE(waits, 4);
  if (rank_ == 0) {
    EXPECT_GE(lengths.size(), 3U);
  }
}

/// Nothing comes, but the device becomes idle: the rank is told so, once.
TEST_P(LateDevices, EndAWaitWhenTheyBecomeIdle) {
  LateDevice device(2, 5);
  LateTransport transport(device, exec_, MPI_COMM_WORLD, 1, pipeline::WaitHook(),
                          pipeline::MessagePath{.staged = staged_});
  codec::Message received{.bytes = Vector<std::uint8_t>("strait::test::received", 1)};
  const codec::Message sent{.bytes = Vector<std::uint8_t>("strait::test::sent", 1), .size = 1};
  if (rank_ == 0) {
    bool worked = false;
    const int receive = transport.receive(envelope(false, 0), received);
    for (int i = 0; i < 100; ++i) device.give([] {});
    device.give([&] { worked = true; });
    transport.wait();
    EXPECT_TRUE(worked);
    EXPECT_FALSE(transport.done(receive)) << "the other sends when it has been told to";
    MPI_Barrier(MPI_COMM_WORLD);
    transport.wait();
    EXPECT_TRUE(transport.done(receive));
  } else {
    MPI_Barrier(MPI_COMM_WORLD);
    const int send = transport.send(envelope(true, 0), sent);
    while (!transport.done(send)) transport.wait();
  }
}

constexpr int steps = 3;

struct Trained {
  std::vector<double> losses, norms;
  std::vector<float> weights;  ///< of this rank

  bool operator==(const Trained&) const = default;
};

Trained train(const pipeline::PipelineSetup& setup, const codec::Codec<float>& codec,
              pipeline::Transport& transport) {
  const ExecutionSpace exec;
  Executor<float> executor(exec, setup, codec, transport);
  const auto run_to_end = [&] {
    while (true) {
      const bool moved = executor.advance();
      if (executor.finished()) return;
      if (!moved) transport.wait();
    }
  };
  Trained trained;
  const auto take_results = [&] {
    for (const auto& result : executor.take_results()) {
      trained.losses.push_back(result.loss);
      trained.norms.push_back(result.gradient_norm);
    }
  };
  for (int step = 0; step < steps; ++step) {
    executor.begin_step(step_info(step), tokens_of_step(exec, setup.model.vocab, step));
    run_to_end();
    take_results();
  }
  executor.begin_settling();
  run_to_end();
  take_results();
  executor.begin_evaluation(3, tokens_of_step(exec, setup.model.vocab, 500));
  run_to_end();
  trained.losses.push_back(executor.evaluated_loss());
  const auto weights = to_host(exec, executor.units().front().stage().weights());
  trained.weights.assign(weights.data(), weights.data() + weights.size());
  return trained;
}

TEST_P(LateDevices, ChangeNoNumberOfTraining) {
  struct Late {
    PipelineCase pipeline;
    const char* codec;
    int lateness;
  };
  const char* const none = every_codec[0];
  const char* const mapl = every_codec[1];
  const std::vector<Late> cases = {
      {{.stages = 2, .schedule = "1f1b", .micro_batches = 3, .tied = true}, none, 20},
      {{.stages = 2, .schedule = "zb-h1", .micro_batches = 3}, mapl, 3},
      {{.stages = 2, .schedule = "interleaved", .micro_batches = 2, .chunks = 2}, none, 3},
      {{.stages = 2, .schedule = "pipedream", .micro_batches = 1}, mapl, 20},
      {{.stages = 1, .schedule = "1f1b", .micro_batches = 2, .replicas = {2}}, none, 3},
  };
  for (const Late& c : cases) {
    SCOPED_TRACE(fmt::format("{}, {}", c.pipeline.schedule, c.codec));
    auto setup = setup_of(c.pipeline);
    setup.steps = steps;
    const auto codec = codec_of<float>(c.codec);
    pipeline::MpiTransport transport(exec_, MPI_COMM_WORLD, setup.stages() - 1);
    const Trained wanted = train(setup, *codec, transport);
    LateDevice device(c.lateness, 100 + rank_);
    LateTransport late(device, exec_, MPI_COMM_WORLD, setup.stages() - 1, pipeline::WaitHook(),
                       pipeline::MessagePath{.staged = staged_});
    EXPECT_TRUE(train(setup, *codec, late) == wanted);
    EXPECT_GT(device.refusals(), 0);
  }
}

}  // namespace
}  // namespace strait::test
