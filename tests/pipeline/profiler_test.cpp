// What a profile says beside times: bytes are those that a run holds and sends.
#include "strait/pipeline/profiler.hpp"

#include "support/codec_ends.hpp"
#include "support/pipeline_statistics.hpp"
#include "support/pipelines.hpp"

#include <gtest/gtest.h>

namespace strait::test {
namespace {

using pipeline::Effort;
using pipeline::LinkSample;
using pipeline::Profile;
using pipeline::Timing;

constexpr Effort little = {.seconds = 0.0, .least = 2, .most = 2};

TEST(Summary, IsMedianAndQuartiles) {
  EXPECT_EQ(pipeline::summary({5.0, 1.0, 2.0, 4.0, 3.0}), (Timing{3.0, 2.0, 4.0}));
  EXPECT_EQ(pipeline::summary({4.0, 2.0}), (Timing{3.0, 2.5, 3.5}));
  EXPECT_EQ(pipeline::summary({7.0}), (Timing{7.0, 7.0, 7.0}));
}

TEST(FitLink, FindsLatencyAndBandwidth) {
  const auto sample = [](std::int64_t bytes) {
    return LinkSample{bytes, 2e-3 + 8.0 * static_cast<double>(bytes) / 1e8};
  };
  const auto link = pipeline::fit_link({sample(1), sample(1000), sample(100000), sample(4000000)});
  EXPECT_NEAR(link.latency, 2e-3, 1e-9);
  EXPECT_NEAR(link.bandwidth, 1e8, 1.0);
}

TEST(FitLink, NoiseMakesNothingNegative) {
  const auto falling = pipeline::fit_link({{1, 3e-3}, {1000, 2e-3}, {100000, 1e-3}});
  EXPECT_DOUBLE_EQ(falling.bandwidth, 8e5 / 1e-3) << "no slower than the largest message shows";
  EXPECT_GT(falling.latency, 0.0);
  const auto steep = pipeline::fit_link({{1, 1e-9}, {1000, 1e-4}, {100000, 2e-2}});
  EXPECT_GE(steep.latency, 0.0);
  EXPECT_GT(steep.bandwidth, 0.0);
}

/// Bytes of a stage add up from its layers' bytes.
TEST(MeasureLayers, BytesAreThoseOfAStage) {
  for (const auto& [schedule, recompute] : {std::pair("1f1b", false), {"1f1b", true}, {"zb-h1", false}}) {
    SCOPED_TRACE(schedule);
    pipeline::PipelineSetup setup = setup_of({.schedule = schedule, .layers = 6});
    setup.recompute = recompute;
    Profile profile;
    pipeline::measure_layers<float>({}, setup, little, profile);
    ASSERT_EQ(profile.layers.size(), 8U);
    EXPECT_EQ(profile.blocks_measured, 4);

    constexpr int slots = 3;
    const auto span = whole_model(setup.model);
    const auto layout = model::stage_layout(setup.model, span);
    std::int64_t parameters = 0, state = 0, activations = profile.workspace_bytes;
    for (const auto& layer : profile.layers) {
      parameters += layer.parameter_bytes;
      state += layer.state_bytes;
      activations += slots * layer.activation_bytes;
    }
    EXPECT_EQ(parameters, 4 * layout.size());
    EXPECT_EQ(state, 4 * layout.size() + optim::state_bytes_needed<float>(setup.optimizer, layout));
    EXPECT_EQ(activations + 2 * parameters,
              model::Stage<float>::bytes_needed(setup.model, span,
                                                {.sequences = setup.sequences,
                                                 .slots = slots,
                                                 .recompute = recompute,
                                                 .split_backward = std::string("zb-h1") == schedule}));
  }
}

TEST(MeasureLayers, TimesAreOfTheRightParts) {
  Profile profile;
  pipeline::measure_layers<double>({}, setup_of({.layers = 2}), little, profile);
  const auto &table = profile.layers.front(), &block = profile.layers[1], &head = profile.layers.back();
  EXPECT_EQ(block.forward, profile.layers[2].forward) << "blocks are alike";
  for (const Timing& timing : {block.forward, block.backward_input, block.backward_weight, block.update,
                               table.forward, table.backward_weight, head.backward_input}) {
    EXPECT_GT(timing.median, 0.0);
    EXPECT_LE(timing.low, timing.median);
    EXPECT_GE(timing.high, timing.median);
  }
  EXPECT_EQ(head.backward_weight.median, 0.0) << "the head's weights belong to the first half";
}

TEST(MeasureLayers, EveryOptimiserUpdatesEveryLayer) {
  for (const char* optimizer : {"adamw", "muon", "nadam", "soap", "basis-rotation"}) {
    SCOPED_TRACE(optimizer);
    Profile profile;
    pipeline::measure_layers<float>({}, setup_of({.layers = 1, .optimizer = optimizer}), little, profile);
    for (const auto& layer : profile.layers) EXPECT_GT(layer.update.median, 0.0);
  }
}

/// The same numbers as the transports of a run of as many steps count.
TEST(MeasureBoundary, BytesAreThoseOfARun) {
  const ExecutionSpace exec;
  for (const char* text :
       {"name = \"none\"", "name = \"int8\"\ngroup_size = 4", "name = \"topk\"\nk = 3",
        "name = \"ssn\"\nrank = 4", "name = \"mapl\"\nrank = 4\nprojector_interval = 3",
        "name = \"mapl\"\nrank = 4\nprojector_interval = 2\n[codec.rvq]\ngroups = 2\nrounds = "
        "1\ncodewords = 4"}) {
    SCOPED_TRACE(text);
    const auto setup = setup_of({.stages = 2, .micro_batches = 3});
    const auto codec = codec_of<float>(text);
    const auto found = pipeline::measure_boundary<float>(exec, setup, *codec, little);

    pipeline::Pipeline<float> run(exec, setup, *codec);
    constexpr int steps = 6;
    const auto train = [&](int first) {
      for (int i = first; i < first + steps; ++i) {
        run.step(step_info(i), tokens_of_step(exec, setup.model.vocab, i));
      }
    };
    train(0);  // codewords begin with a message of their own
    gather_statistics(run);
    train(steps);
    pipeline::BoundaryBytes down = run.executors()[0]->take_statistics().sent.boundaries[0];
    pipeline::BoundaryBytes up = run.executors()[1]->take_statistics().sent.boundaries[0];
    EXPECT_EQ(found.bytes_forward * steps * 3, down.forward);
    EXPECT_EQ(found.bytes_backward * steps * 3, up.backward);
    EXPECT_NEAR(found.bytes_sync_down * steps, static_cast<double>(down.sync), 1e-6);
    EXPECT_NEAR(found.bytes_sync_up * steps, static_cast<double>(up.sync), 1e-6);
    EXPECT_GT(found.encode.median, 0.0);
    EXPECT_GT(found.decode_gradient.median, 0.0);
  }
}

}  // namespace
}  // namespace strait::test
