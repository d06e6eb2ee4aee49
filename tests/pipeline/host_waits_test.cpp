// How often the host waits for the device in a step: once for the loss, once for each stage's norm, and no
// codec or optimiser adds to it.
#include "support/codec_decks.hpp"
#include "support/pipelines.hpp"

#include <gtest/gtest.h>

#include <string_view>

namespace strait::test {
namespace {

/// Counts the copies that to_host and to_device make, for which the host waits; one at a time.
class MirrorCount {
 public:
  MirrorCount() {
    count() = 0;
    Kokkos::Tools::Experimental::set_allocate_data_callback(
        [](Kokkos::Profiling::SpaceHandle, const char* label, const void*, std::uint64_t) {
          if (label == std::string_view("strait::core::mirror")) ++count();
        });
  }
  ~MirrorCount() { Kokkos::Tools::Experimental::set_allocate_data_callback(nullptr); }
  MirrorCount(const MirrorCount&) = delete;
  MirrorCount& operator=(const MirrorCount&) = delete;

  static int& count() {
    static int copies = 0;
    return copies;
  }
};

constexpr int stages = 3;

/// Of each step from the sixth on, when all that is done once has been done.
void expect_waits_of_loss_and_norms(const PipelineCase& c, const std::string& codec_deck) {
  const ExecutionSpace exec;
  const pipeline::PipelineSetup setup = setup_of(c);
  pipeline::Pipeline<float> pipeline(exec, setup, *codec_of<float>(codec_deck));
  const auto tokens = [&](const pipeline::BatchRequest& request) {
    if (request.ids.extent(0) > 0) Kokkos::deep_copy(exec, request.ids, request.micro_batch);
    if (request.targets.extent(0) > 0) Kokkos::deep_copy(exec, request.targets, request.micro_batch + 1);
  };
  for (int step = 0; step < 12; ++step) {
    const MirrorCount copies;
    pipeline.step(step_info(step), tokens);
    if (step < 6) continue;
    EXPECT_EQ(copies.count(), 1 + stages) << "step " << step;
  }
}

class Codecs : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(HostWaits, Codecs,
                         ::testing::Values("name = 'none'", "name = 'mapl'\nrank = 6\nprojector_interval = 2",
                                           "name = 'ssn'\nrank = 6", "name = 'fixed'\nrank = 6",
                                           "name = 'unconstrained'\nrank = 6\nprojector_interval = 1",
                                           "name = 'int8'", "name = 'int4'", "name = 'topk'\nk = 3",
                                           "name = 'mapl'\nrank = 6\nprojector_interval = 2\nrvq.groups = 2\n"
                                           "rvq.rounds = 2\nrvq.codewords = 7\nrvq.backward = 'rvq'"));

TEST_P(Codecs, AddNone) {
  for (const char* schedule : {"1f1b", "zb-h1"}) {
    expect_waits_of_loss_and_norms({.stages = stages, .schedule = schedule}, GetParam());
  }
}

class Optimizers : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(HostWaits, Optimizers, ::testing::Values("adamw", "nadam", "muon"));

TEST_P(Optimizers, AddNone) {
  expect_waits_of_loss_and_norms({.stages = stages, .optimizer = GetParam()}, "name = 'none'");
}

TEST(ComparedCodebooks, MakeTheReceiverWait) {
  const ExecutionSpace exec;
  const auto setup = setup_of({.stages = stages});
  const auto codec = codec_of<float>(
      "name = 'mapl'\nrank = 6\nrvq.groups = 2\nrvq.rounds = 2\nrvq.codewords = 7\nrvq.checksum_interval = "
      "3");
  pipeline::Pipeline<float> pipeline(exec, setup, *codec);
  int first = 0;
  for (int step = 0; step < 7; ++step) {
    const MirrorCount copies;
    pipeline.step(step_info(step), tokens_of_step(exec, setup.model.vocab, step));
    if (step == 1) first = copies.count();
    if (step < 2) continue;
    // At each boundary the sum in the message and the receiver's own.
    const int compared = step % 3 == 0 ? 2 * (stages - 1) : 0;
    EXPECT_EQ(copies.count(), first + compared) << "step " << step;
  }
}

}  // namespace
}  // namespace strait::test
