// A slower link than there is: as slow as it says, and without any effect on numbers.
#include "strait/pipeline/emulated_transport.hpp"

#include "support/pipeline_statistics.hpp"
#include "support/pipelines.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace strait::test {
namespace {

using pipeline::NetworkConfig;

struct Trained {
  std::vector<double> losses;
  std::vector<float> weights;  ///< of this rank
  double seconds = 0.0;        ///< of all steps, at the rank that took longest
  PipelineStatistics sent;     ///< of all steps
};

constexpr int steps = 5;

Trained train(const PipelineCase& c, const NetworkConfig& network) {
  pipeline::PipelineSetup setup = setup_of(c);
  setup.steps = steps;
  const ExecutionSpace exec;
  pipeline::Pipeline<float> pipeline(exec, setup, exact_codec<float>(), MPI_COMM_WORLD, {}, network);
  Trained run;
  MPI_Barrier(MPI_COMM_WORLD);
  const double start = pipeline.front().transport().seconds();
  for (int step = 0; step < steps; ++step) {
    for (const auto& result :
         pipeline.train(step_info(step), tokens_of_step(exec, setup.model.vocab, step))) {
      run.losses.push_back(result.loss);
    }
  }
  run.seconds = pipeline.front().transport().seconds() - start;
  MPI_Allreduce(MPI_IN_PLACE, &run.seconds, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
  for (const auto& result : pipeline.settle()) run.losses.push_back(result.loss);
  run.losses.push_back(pipeline.evaluate(3, tokens_of_step(exec, setup.model.vocab, 500)));
  const auto weights = to_host(exec, pipeline.front().units().front().stage().weights());
  run.weights.assign(weights.data(), weights.data() + weights.size());
  run.sent = gather_statistics(pipeline);
  return run;
}

TEST(EmulatedLink, ChangesNoNumber) {
  const std::vector<PipelineCase> cases = {
      {.stages = 2, .schedule = "gpipe"},
      {.stages = 2, .schedule = "1f1b", .tied = true},
      {.stages = 2, .schedule = "zb-h1"},
      {.stages = 2, .schedule = "interleaved", .chunks = 2},
      {.stages = 2, .schedule = "pipedream", .micro_batches = 1},
      {.stages = 1, .schedule = "1f1b", .replicas = {2}},
  };
  for (const PipelineCase& c : cases) {
    SCOPED_TRACE(c.schedule);
    const Trained wanted = train(c, {});
    const Trained found = train(c, {.bandwidth = 1e8, .latency = 1e-4, .duplex = c.tied});
    EXPECT_EQ(found.losses, wanted.losses);
    EXPECT_EQ(found.weights, wanted.weights);
    ASSERT_EQ(found.sent.boundaries.size(), wanted.sent.boundaries.size());
    for (std::size_t p = 0; p < wanted.sent.boundaries.size(); ++p) {
      EXPECT_EQ(found.sent.boundaries[p], wanted.sent.boundaries[p]);
    }
    EXPECT_EQ(found.sent.tied, wanted.sent.tied);
  }
}

/// Steps in which a link is busy all the time take that time and, where the machine is not too busy, little
/// more.
void expect_steps(const PipelineCase& c, const NetworkConfig& network, double busy) {
  constexpr int attempts = 4;
  double least = train(c, network).seconds;
  for (int i = 1; i < attempts && least > 1.25 * steps * busy; ++i) {
    least = std::min(least, train(c, network).seconds);
  }
  EXPECT_GE(least, steps * busy);
  // Launching kernels as small as these takes a device about as long.
  if (host_accessible) {
    EXPECT_LE(least, 1.5 * steps * busy);
  }
}

TEST(EmulatedLink, MessagesTakeTheirTime) {
  const PipelineCase c{.stages = 2, .schedule = "gpipe", .micro_batches = 8};
  const auto setup = setup_of(c);
  const double bits = 8.0 * 4.0 * setup.sequences * setup.model.context * setup.model.hidden;
  constexpr double bandwidth = 1e6;
  // All forwards, then all backwards: nothing goes both ways. A latency there, one back and one for the
  // norms.
  const double busy = 2 * 8 * bits / bandwidth;
  expect_steps(c, {.bandwidth = bandwidth, .duplex = false}, busy);
  expect_steps(c, {.bandwidth = bandwidth, .latency = 0.02}, busy + 3 * 0.02);
}

TEST(EmulatedLink, SumsOverReplicasTakeTheirTime) {
  const PipelineCase c{.stages = 1, .schedule = "1f1b", .micro_batches = 2, .replicas = {2}};
  constexpr double bandwidth = 4e6;
  // Each of two ranks sends half of the vector, and then the other half's sum.
  const double sum = 8.0 * 4.0 * static_cast<double>(train(c, {}).weights.size()) / bandwidth;
  expect_steps(c, {.bandwidth = bandwidth}, sum);
  expect_steps(c, {.bandwidth = bandwidth, .duplex = false}, 2 * sum);
}

TEST(EmulatedLink, IsDuplexOrNot) {
  constexpr std::int64_t bytes = 100'000;
  constexpr double bandwidth = 1e7, one_way = 8 * bytes / bandwidth, latency = 0.01;
  const ExecutionSpace exec;
  for (const bool duplex : {true, false}) {
    const auto transport = pipeline::connect(exec, MPI_COMM_WORLD, 1, {.stages = 2},
                                             {.bandwidth = bandwidth, .latency = latency, .duplex = duplex});
    const bool first = transport->rank() == 0;
    const pipeline::Envelope out{.channel = first ? pipeline::Channel::forward : pipeline::Channel::backward,
                                 .boundary = 0,
                                 .micro_batch = 0,
                                 .peer = first ? 1 : 0};
    pipeline::Envelope in = out;
    in.channel = first ? pipeline::Channel::backward : pipeline::Channel::forward;
    const codec::Message sent{.bytes = Vector<std::uint8_t>("sent", bytes), .size = bytes};
    codec::Message received{.bytes = Vector<std::uint8_t>("received", bytes)};
    MPI_Barrier(MPI_COMM_WORLD);
    const double start = transport->seconds();
    const int incoming = transport->receive(in, received), outgoing = transport->send(out, sent);
    while (!transport->done(outgoing)) transport->wait();
    double left = transport->seconds() - start;
    while (!transport->done(incoming)) transport->wait();
    double arrived = transport->seconds() - start;
    EXPECT_EQ(received.size, bytes);
    EXPECT_GE(left, one_way);
    MPI_Allreduce(MPI_IN_PLACE, &arrived, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
    EXPECT_GE(arrived, (duplex ? 1 : 2) * one_way + latency);
    EXPECT_LE(arrived, (duplex ? 1.8 : 3) * one_way + latency);
  }
}

TEST(EmulatedLink, WaitsCallTheHook) {
  int calls = 0;
  pipeline::PipelineSetup setup = setup_of({.stages = 2, .schedule = "gpipe"});
  const ExecutionSpace exec;
  pipeline::Pipeline<float> pipeline(exec, setup, exact_codec<float>(), MPI_COMM_WORLD,
                                     [&](double) { ++calls; }, {.bandwidth = 1e9, .latency = 0.05});
  pipeline.step(step_info(0), tokens_of_step(exec, setup.model.vocab, 0));
  EXPECT_GE(calls, 20);
}

}  // namespace
}  // namespace strait::test
