// A step allocates nothing on the device that an earlier one has not left: to allocate and to free would wait
// for the device.
#include "support/codec_decks.hpp"
#include "support/kokkos_tools.hpp"
#include "support/pipelines.hpp"

#include <gtest/gtest.h>

namespace strait::test {
namespace {

/// Labels of what steps allocate once everything that they do has been done. The host's mirrors of device
/// tensors are not on the device.
std::set<std::string> allocated_by_later_steps(const PipelineCase& c, const std::string& codec_deck) {
  const ExecutionSpace exec;
  const pipeline::PipelineSetup setup = setup_of(c);
  pipeline::Pipeline<float> pipeline(exec, setup, *codec_of<float>(codec_deck));
  const auto train_steps = [&](int begin, int end) {
    for (int step = begin; step < end; ++step) {
      pipeline.step(step_info(step), tokens_of_step(exec, setup.model.vocab, step));
    }
  };
  train_steps(0, 6);
  const LabelRecorder recorder;
  train_steps(6, 12);
  auto labels = recorder.allocations();
  labels.erase("strait::core::mirror");
  return labels;
}

/// Without steps on the Grassmann manifold, which are rare and allocate.
class Steps : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Codecs, Steps,
                         ::testing::Values("name = 'none'", "name = 'mapl'\nrank = 6\nprojector_interval = 2",
                                           "name = 'ssn'\nrank = 6", "name = 'int8'", "name = 'topk'\nk = 3",
                                           "name = 'mapl'\nrank = 6\nprojector_interval = 2\nrvq.groups = 2\n"
                                           "rvq.rounds = 2\nrvq.codewords = 7\nrvq.backward = 'rvq'"));

TEST_P(Steps, AllocateNothingLater) {
  for (const std::string schedule : {"1f1b", "zb-h1"}) {
    EXPECT_EQ(allocated_by_later_steps({.stages = 3, .schedule = schedule, .tied = true}, GetParam()),
              std::set<std::string>())
        << schedule;
  }
}

class Updates : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Optimizers, Updates,
                         ::testing::Values("adamw", "nadam", "muon", "soap", "basis-rotation"));

TEST_P(Updates, AllocateNothingLater) {
  EXPECT_EQ(allocated_by_later_steps({.stages = 2, .optimizer = GetParam()}, "name = 'none'"),
            std::set<std::string>());
}

TEST(Replicas, AllocateNothingLater) {
  EXPECT_EQ(allocated_by_later_steps({.stages = 2, .replicas = {2, 2}}, "name = 'none'"),
            std::set<std::string>());
}

TEST(LabelRecorder, SeesWhatAStepAllocates) {
  const LabelRecorder recorder;
  const Vector<float> allocated("strait::test::allocated", 1);
  EXPECT_EQ(recorder.allocations(), std::set<std::string>{"strait::test::allocated"});
}

}  // namespace
}  // namespace strait::test
