// The bytes that a stage says it needs are those that it then allocates.
#include "strait/model/stage.hpp"

#include "support/allocation_count.hpp"
#include "support/llama.hpp"

#include <gtest/gtest.h>

#include <cstdint>

namespace strait::model {
namespace {

struct Case {
  const char* name;
  StageSpan span;
  StageOptions options;
};

class StageMemory : public ::testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(
    Shapes, StageMemory,
    ::testing::Values(Case{"Whole", {0, 3, true, true}, {.sequences = 2}},
                      Case{"First", {0, 1, true, false}, {.sequences = 2, .slots = 3}},
                      Case{"Middle", {1, 2, false, false}, {.sequences = 4, .slots = 2}},
                      Case{"LastTied", {1, 3, false, true}, {.slots = 2}},
                      Case{"Recompute", {0, 3, true, true}, {.slots = 2, .recompute = true}},
                      Case{"SplitBackward", {0, 3, true, true}, {.slots = 2, .split_backward = true}},
                      Case{"Anchors",
                           {0, 2, true, false},
                           {.add_parameters =
                                [](ParameterLayout& layout) {
                                  layout.add("anchor", ParameterRole::anchor, 4, 4);
                                }}}),
    [](const auto& info) { return info.param.name; });

TEST_P(StageMemory, NeededIsAllocated) {
  const ExecutionSpace exec;
  const auto config = test::tiny_llama(3, true);
  const auto& [name, span, options] = GetParam();
  const auto needed = Stage<float>::bytes_needed(config, span, options);

  const test::AllocationCount count;
  const Stage<float> stage(exec, config, span, options);
  EXPECT_EQ(count.live_bytes(), needed);
  EXPECT_EQ(stage.activation_bytes() + stage.parameter_bytes(), needed);
  EXPECT_EQ(stage.parameter_bytes(), 8 * stage.layout().size());
}

TEST(SlotMemory, SlotsCostTheSameEach) {
  const auto config = test::tiny_llama(3, true);
  const auto bytes = [&](int slots) {
    return Stage<float>::bytes_needed(config, test::whole_model(config), {.slots = slots});
  };
  EXPECT_EQ(bytes(3) - bytes(2), bytes(2) - bytes(1));
  EXPECT_GT(bytes(2), bytes(1));
}

}  // namespace
}  // namespace strait::model
