// Pipelines whose boundaries quantise: the codebooks of both ends at every micro-batch, bytes, losses.
#include "support/rvq.hpp"

#include "support/pipeline_statistics.hpp"
#include "support/temporary_directory.hpp"

#include <gtest/gtest.h>

namespace strait::test {
namespace {

using codec::AnchorKind;
using codec::GradientFormat;
using codec::ProjectionCodec;
using pipeline::Pipeline;

codec::ProjectionOptions options_of(GradientFormat backward) {
  auto options = projection<float>(AnchorKind::factorized, optim::spel, 2);
  options.rvq = quantisation(backward);
  return options;
}

/// What the ends of all boundaries save, in a file each.
template <class T>
void save(const ExecutionSpace& exec, Pipeline<T>& pipeline, int boundaries,
          const TemporaryDirectory& folder) {
  for (int p = 0; p < boundaries; ++p) {
    auto file = io::File::create(folder.file(fmt::format("{}.h5", p)));
    sender(pipeline, p).save(exec, file.root());
    receiver(pipeline, p).save(exec, file.root());
    file.close();
  }
}

template <class T>
void load(const ExecutionSpace& exec, Pipeline<T>& pipeline, int boundaries,
          const TemporaryDirectory& folder) {
  for (int p = 0; p < boundaries; ++p) {
    const auto file = io::File::open(folder.file(fmt::format("{}.h5", p)));
    ASSERT_TRUE(sender(pipeline, p).load(exec, file.root()));
    ASSERT_TRUE(receiver(pipeline, p).load(exec, file.root()));
  }
}

TEST(Rvq, BothEndsHaveTheSameBitsThroughAThousandMicroBatches) {
  constexpr int stages = 4, micro_batches = 5, steps = 200, middle = 100;
  const ExecutionSpace exec;
  for (const char* schedule : {"1f1b", "gpipe"}) {
    PipelineCase c{.stages = stages, .schedule = schedule, .micro_batches = micro_batches, .layers = 4};
    const auto setup = setup_of(c);
    auto options = options_of(GradientFormat::rvq);
    options.rvq->dropout = 0.3;
    CodebookLog log;
    const WatchedCodec<float> codec(options, log);
    const TemporaryDirectory folder;
    auto pipeline = std::make_unique<Pipeline<float>>(exec, setup, codec);
    for (int step = 0; step < steps; ++step) {
      if (step == middle) {  // another process takes over
        save(exec, *pipeline, stages - 1, folder);
        pipeline = std::make_unique<Pipeline<float>>(exec, setup, codec);
        load(exec, *pipeline, stages - 1, folder);
      }
      pipeline->step(step_info(step), tokens_of_step(exec, setup.model.vocab, step));
      if (step % 50 == 7) pipeline->evaluate(2, tokens_of_step(exec, setup.model.vocab, 900));
    }
    const std::size_t wanted = std::size_t{2} * (stages - 1) * micro_batches * steps;
    EXPECT_EQ(log.encoded.size(), wanted);
    EXPECT_TRUE(log.encoded == log.decoded);
    // They do change, with every message.
    std::uint64_t before = 0;
    for (const auto& [key, checksum] : log.encoded) {
      EXPECT_NE(checksum, before);
      before = checksum;
    }
  }
}

TEST(Rvq, ARestartContinuesWithTheSameBits) {
  constexpr int stages = 2, steps = 8;
  const ExecutionSpace exec;
  const auto setup = setup_of({.stages = stages, .layers = 2});
  auto options = options_of(GradientFormat::rvq);
  options.learning_rate = 0.0;
  auto still = setup;
  still.optimizer.learning_rate = 0.0;
  const auto run = [&](Pipeline<float>& pipeline, int from, int to) {
    for (int step = from; step < to; ++step) {
      auto info = step_info(step);
      info.learning_rate = 0.0;  // so that the model need not be saved
      pipeline.step(info, tokens_of_step(exec, setup.model.vocab, step));
    }
  };
  Pipeline<float> whole(exec, still, ProjectionCodec<float>(options));
  run(whole, 0, steps);
  Pipeline<float> first(exec, still, ProjectionCodec<float>(options));
  run(first, 0, steps / 2);
  const TemporaryDirectory folder;
  save(exec, first, 1, folder);
  Pipeline<float> second(exec, still, ProjectionCodec<float>(options));
  load(exec, second, 1, folder);
  run(second, steps / 2, steps);
  EXPECT_EQ(sender(whole, 0).quantiser()->published().checksum(exec),
            sender(second, 0).quantiser()->published().checksum(exec));
  EXPECT_EQ(receiver(whole, 0).gradients().quantiser()->published().checksum(exec),
            receiver(second, 0).gradients().quantiser()->published().checksum(exec));
}

TEST(Rvq, TransportCountsTheBytesOfTheFormula) {
  constexpr int stages = 3, micro_batches = 4, tokens = 12, rank = 6;
  const ExecutionSpace exec;
  const auto setup = setup_of({.stages = stages, .micro_batches = micro_batches});
  for (const auto backward : {GradientFormat::bfloat16, GradientFormat::int8, GradientFormat::rvq}) {
    auto options = options_of(backward);
    options.interval = 1000;
    Pipeline<float> pipeline(exec, setup, ProjectionCodec<float>(options));
    const std::int64_t indices = (tokens * 2 * 2 * 3 + 7) / 8;  // 3 bits for 7 codewords
    const std::int64_t word = 2 * rank * 4;                     // one codeword of each group and round
    for (int step = 0; step < 7; ++step) {
      pipeline.step(step_info(step), tokens_of_step(exec, setup.model.vocab, step));
      for (const auto& bytes : gather_statistics(pipeline).boundaries) {
        EXPECT_EQ(bytes.forward, micro_batches * (indices + 2 * tokens));
        const std::int64_t back = backward == GradientFormat::rvq    ? indices
                                  : backward == GradientFormat::int8 ? tokens * (rank + 4)
                                                                     : tokens * rank * 2;
        EXPECT_EQ(bytes.backward, micro_batches * back);
        const std::int64_t words = step == 0 ? 7 + micro_batches - 1 : micro_batches;
        const std::int64_t sync = words * word + (step % 5 == 0 ? 8 : 0);
        EXPECT_EQ(bytes.sync, (backward == GradientFormat::rvq ? 2 : 1) * sync);
        EXPECT_EQ(bytes.header, 0);
      }
    }
  }
}

TEST(Rvq, LearnsWithEveryFormatOfGradients) {
  constexpr int steps = 60;
  const ExecutionSpace exec;
  const auto setup = setup_of({.stages = 3});
  for (const auto backward : {GradientFormat::bfloat16, GradientFormat::int8, GradientFormat::rvq}) {
    Pipeline<float> pipeline(exec, setup, ProjectionCodec<float>(options_of(backward)));
    const Trajectory run = train(exec, pipeline, setup.model.vocab, steps);
    EXPECT_LT(run.losses.back(), 0.8 * run.losses.front());
    EXPECT_TRUE(std::isfinite(run.evaluation));
  }
}

}  // namespace
}  // namespace strait::test
