// A codec with state, anchors, synchronisation and ids on the wire: every hook is called, in order, with the
// right context.
#include "support/expect_error.hpp"
#include "support/pipeline_statistics.hpp"
#include "support/pipelines.hpp"
#include "support/recording_codec.hpp"
#include "support/temporary_directory.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace strait::test {
namespace {

using pipeline::BoundaryBytes;
using pipeline::Pipeline;
using pipeline::PipelineSetup;

HookLog calls_at(const HookLog& log, int boundary, const std::string& hook) {
  HookLog out;
  for (const HookCall& call : log) {
    if (call.boundary == boundary && call.hook == hook) out.push_back(call);
  }
  return out;
}

class CodecHooks : public ::testing::Test {
 protected:
  Pipeline<double> make(const PipelineCase& c) {
    setup_ = setup_of(c);
    return {exec_, setup_, RecordingCodec<double>(log_)};
  }
  pipeline::BatchSource tokens(std::int64_t step) const { return tokens_of_step(exec_, 11, step); }

  std::vector<std::string> hooks_at(int boundary) const {
    std::vector<std::string> out;
    for (const HookCall& call : log_) {
      if (call.boundary == boundary) out.push_back(call.hook);
    }
    return out;
  }

  static RecordingSender<double>& sender(Pipeline<double>& pipeline, int boundary) {
    return dynamic_cast<RecordingSender<double>&>(*pipeline.executors()[boundary]->units()[0].sender());
  }
  static RecordingReceiver<double>& receiver(Pipeline<double>& pipeline, int boundary) {
    return dynamic_cast<RecordingReceiver<double>&>(
        *pipeline.executors()[boundary + 1]->units()[0].receiver());
  }

  auto parameter(Pipeline<double>& pipeline, int rank, const std::string& name) const {
    auto& stage = pipeline.executors()[rank]->units()[0].stage();
    const int index = find(stage.layout(), name);
    ensure(index >= 0, "a parameter that exists");
    return stage.layout().view(stage.weights(), index);
  }

  ExecutionSpace exec_;
  HookLog log_;
  PipelineSetup setup_;
};

TEST_F(CodecHooks, AStepWithoutSynchronisationCallsEachHookInOrder) {
  Pipeline<double> pipeline = make({.stages = 2, .micro_batches = 1});
  EXPECT_EQ(hooks_at(0), (std::vector<std::string>{"sender.lend", "receiver.lend"}));
  log_.clear();
  pipeline.step(step_info(0), tokens(0));
  EXPECT_EQ(hooks_at(0),
            (std::vector<std::string>{"sender.encode", "receiver.decode", "receiver.encode_gradient",
                                      "sender.decode_gradient", "sender.update", "receiver.update"}));
}

TEST_F(CodecHooks, AStepWithSynchronisationSendsUpThenUpdatesThenSendsDown) {
  Pipeline<double> pipeline = make({.stages = 2, .micro_batches = 1});
  pipeline.step(step_info(0), tokens(0));
  log_.clear();
  pipeline.step(step_info(1), tokens(1));
  const std::vector<std::string> order = hooks_at(0);
  const auto at = [&](const std::string& hook) {
    EXPECT_EQ(std::count(order.begin(), order.end(), hook), 1) << hook;
    return std::find(order.begin(), order.end(), hook) - order.begin();
  };
  EXPECT_LT(at("receiver.encode_gradient"), at("receiver.send_sync_up"));
  EXPECT_LT(at("sender.decode_gradient"), at("sender.receive_sync_up"));
  EXPECT_LT(at("receiver.send_sync_up"), at("sender.receive_sync_up"));
  EXPECT_LT(at("sender.receive_sync_up"), at("sender.update"));
  EXPECT_LT(at("sender.update"), at("sender.send_sync_down"));
  EXPECT_LT(at("receiver.update"), at("receiver.receive_sync_down"));
  EXPECT_LT(at("sender.send_sync_down"), at("receiver.receive_sync_down"));
}

TEST_F(CodecHooks, ContextsNameMicroBatchSlotAndVersion) {
  // Rank 1 of three keeps two micro-batches: boundary 1's sender and boundary 0's receiver use its slots.
  Pipeline<double> pipeline = make({.stages = 3, .schedule = "1f1b", .micro_batches = 4});
  pipeline.step(step_info(0), tokens(0));
  log_.clear();
  pipeline.step(step_info(1), tokens(1));
  const auto expected = [](const std::string& hook, int boundary, const std::vector<int>& slots) {
    HookLog out;
    for (int b = 0; b < 4; ++b) out.push_back({hook, boundary, 4 + b, slots[b], 1, true});
    return out;
  };
  const std::vector<int> three = {0, 1, 2, 0}, two = {0, 1, 0, 1}, one = {0, 0, 0, 0};
  for (const char* hook : {"sender.encode", "sender.decode_gradient"}) {
    EXPECT_EQ(calls_at(log_, 0, hook), expected(hook, 0, three));
    EXPECT_EQ(calls_at(log_, 1, hook), expected(hook, 1, two));
  }
  for (const char* hook : {"receiver.decode", "receiver.encode_gradient"}) {
    EXPECT_EQ(calls_at(log_, 0, hook), expected(hook, 0, two));
    EXPECT_EQ(calls_at(log_, 1, hook), expected(hook, 1, one));
  }
}

TEST_F(CodecHooks, EvaluationIsMarkedAndChangesNoState) {
  Pipeline<double> pipeline = make({.stages = 2});
  pipeline.step(step_info(0), tokens(0));
  log_.clear();
  pipeline.evaluate(2, tokens(9));
  HookLog encodes, decodes;
  for (int b = 0; b < 2; ++b) {
    encodes.push_back({"sender.encode", 0, b, 0, 0, false});
    decodes.push_back({"receiver.decode", 0, b, 0, 0, false});
  }
  EXPECT_EQ(calls_at(log_, 0, "sender.encode"), encodes);
  EXPECT_EQ(calls_at(log_, 0, "receiver.decode"), decodes);
  EXPECT_EQ(log_.size(), 4U);
}

TEST_F(CodecHooks, IdsArriveAtStagesWithoutTokens) {
  Pipeline<double> pipeline = make({.stages = 3, .micro_batches = 1});
  pipeline.step(step_info(0), tokens(0));
  const auto sent = to_host(exec_, pipeline.executors()[0]->units()[0].stage().ids(0));
  for (int rank = 1; rank < 3; ++rank) {
    const auto arrived = to_host(exec_, pipeline.executors()[rank]->units()[0].stage().ids(0));
    for (std::size_t t = 0; t < sent.extent(0); ++t) EXPECT_EQ(arrived(t), sent(t));
  }
}

TEST_F(CodecHooks, AnchorsAreTrainedWithTheirStages) {
  Pipeline<double> pipeline = make({.stages = 2});
  EXPECT_EQ(pipeline.step(step_info(0), tokens(0)).loss,
            train_in_process<double>(exec_, {.stages = 1}, 1).losses[0])
      << "anchors start at zero and the scales are powers of two";
  for (int step = 1; step < 5; ++step) pipeline.step(step_info(step), tokens(step));
  const auto sent = parameter(pipeline, 0, "boundary.0.sender.anchors");
  const auto received = parameter(pipeline, 1, "boundary.0.receiver.anchors");
  const auto norm = inner_product(exec_, sent, sent);
  EXPECT_GT(norm, 0.0);
  EXPECT_EQ(relative_difference(exec_, sent, received), 0.0) << "both ends have the same gradient here";
}

TEST_F(CodecHooks, BothEndsKeepTheSameScale) {
  Pipeline<double> pipeline = make({.stages = 3, .micro_batches = 2});
  std::vector<double> scales;
  for (int step = 0; step < 6; ++step) {
    pipeline.step(step_info(step), tokens(step));
    for (int boundary = 0; boundary < 2; ++boundary) {
      EXPECT_EQ(sender(pipeline, boundary).scale(), receiver(pipeline, boundary).scale());
    }
    scales.push_back(sender(pipeline, 0).scale());
  }
  // After steps 1, 3, 5 the receiver has decoded 4, 8, 12 micro-batches.
  EXPECT_EQ(scales, (std::vector<double>{1, 1, 1, 2, 2, 0.5}));
}

TEST_F(CodecHooks, BytesGoToTheirAccounts) {
  Pipeline<double> pipeline = make({.stages = 2, .micro_batches = 3});
  const std::int64_t tokens_per_message = 2 * 6;
  const std::int64_t numbers = tokens_per_message * 16 * 8;
  BoundaryBytes wanted{.forward = 3 * (4 * tokens_per_message + numbers),
                       .backward = 3 * numbers,
                       .sync = 3 * 4,
                       .header = 3 * 16};
  pipeline.step(step_info(0), tokens(0));
  EXPECT_EQ(gather_statistics(pipeline).boundaries[0], wanted);
  wanted.sync += 8 + 4;
  pipeline.step(step_info(1), tokens(1));
  EXPECT_EQ(gather_statistics(pipeline).boundaries[0], wanted);
  pipeline.evaluate(1, tokens(9));
  EXPECT_EQ(gather_statistics(pipeline).boundaries[0],
            BoundaryBytes{.evaluation = 4 * tokens_per_message + numbers + 4 + 16});
}

TEST_F(CodecHooks, AStepThatIsNotFiniteSkipsTheUpdate) {
  Pipeline<double> pipeline = make({.stages = 2});
  const Vector<double>& weights = pipeline.executors()[0]->units()[0].stage().weights();
  auto host = to_host(exec_, weights);
  for (std::size_t i = 0; i < host.extent(0); ++i) host(i) = std::numeric_limits<double>::infinity();
  to_device(exec_, weights, host);
  log_.clear();
  EXPECT_FALSE(pipeline.step(step_info(1), tokens(0)).finite);
  EXPECT_TRUE(calls_at(log_, 0, "sender.update").empty());
  EXPECT_TRUE(calls_at(log_, 0, "receiver.update").empty());
  EXPECT_EQ(calls_at(log_, 0, "receiver.receive_sync_down").size(), 1U) << "no message is left on its way";
}

TEST_F(CodecHooks, StateIsSavedAndLoaded) {
  Pipeline<double> pipeline = make({.stages = 2, .micro_batches = 2});
  for (int step = 0; step < 4; ++step) pipeline.step(step_info(step), tokens(step));
  ASSERT_EQ(sender(pipeline, 0).scale(), 2.0);
  const TemporaryDirectory folder;
  auto file = io::File::create(folder.file("state.h5"));
  auto group = file.root().create_group("boundary/0");
  sender(pipeline, 0).save(exec_, group);
  receiver(pipeline, 0).save(exec_, group);
  Pipeline<double> restarted = make({.stages = 2, .micro_batches = 2});
  EXPECT_EQ(sender(restarted, 0).scale(), 1.0);
  sender(restarted, 0).load(exec_, group);
  receiver(restarted, 0).load(exec_, group);
  EXPECT_EQ(sender(restarted, 0).scale(), 2.0);
  EXPECT_EQ(receiver(restarted, 0).scale(), 2.0);
}

TEST_F(CodecHooks, AnchorsAndCodecStateTakeMemory) {
  Pipeline<double> with = make({.stages = 2});
  Pipeline<double> without(exec_, setup_, exact_codec<double>());
  EXPECT_GT(with.executors()[0]->memory_bytes(),
            without.executors()[0]->memory_bytes() + 4 * setup_.model.vocab * setup_.model.hidden * 8);
}

}  // namespace
}  // namespace strait::test
