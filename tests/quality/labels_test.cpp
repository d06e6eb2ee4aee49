// Every kernel, allocation and region of a training run has a label that says whose it is:
// strait::topic::what.
#include "strait/codec/quantised.hpp"
#include "strait/codec/top_k.hpp"

#include "support/kokkos_tools.hpp"
#include "support/projection.hpp"

#include <gtest/gtest.h>

#include <regex>

namespace strait::test {
namespace {

/// Ours, or named by Kokkos or Kokkos Kernels for what they launch themselves (fills, copies, matrix
/// products).
bool is_proper(const std::string& label) {
  static const std::regex ours("(strait::[a-z0-9_]+::[a-z0-9_]+.*)");
  static const std::regex theirs("(Kokkos|KokkosBlas)::.*");
  static const std::regex filling("Kokkos::View::(initialization|destruction) \\[(.*)\\].*");
  std::smatch match;
  if (std::regex_match(label, match, filling)) return is_proper(match[2]);
  return std::regex_match(label, ours) || std::regex_match(label, theirs);
}

void expect_proper(const std::set<std::string>& labels) {
  for (const auto& label : labels) EXPECT_TRUE(is_proper(label)) << '"' << label << '"';
}

bool any_begins_with(const std::set<std::string>& labels, const std::string& begin) {
  const auto at = labels.lower_bound(begin);
  return at != labels.end() && at->compare(0, begin.size(), begin) == 0;
}

TEST(Labels, TellOursFromUnnamed) {
  EXPECT_TRUE(is_proper("strait::rms_norm::forward"));
  EXPECT_TRUE(is_proper("Kokkos::View::initialization [strait::stage::weights]"));
  EXPECT_FALSE(is_proper("Kokkos::View::initialization []"));
  EXPECT_FALSE(is_proper("strait::forward"));
  EXPECT_FALSE(is_proper("N6strait7kernels3$_0E"));
  EXPECT_FALSE(is_proper(""));
}

TEST(Labels, RecorderSeesUnlabelledViews) {
  const LabelRecorder recorder;
  const Vector<float> labelled("strait::test::labelled", 1);
  const Vector<float> unlabelled("", 1);
  EXPECT_EQ(recorder.allocations(), (std::set<std::string>{"", "strait::test::labelled"}));
}

template <class T>
void expect_proper_training() {
  const ExecutionSpace exec;
  const LabelRecorder recorder;
  for (const bool tied : {false, true}) {
    const char* optimizer = tied ? "muon" : "adamw";
    train_in_process<T>(exec, {.stages = 3, .micro_batches = 3, .tied = tied, .optimizer = optimizer}, 2);
  }
  for (const codec::AnchorKind anchors : all_anchors) {
    const auto setup = setup_of({.stages = 3});
    pipeline::Pipeline<T> pipeline(exec, setup, codec::ProjectionCodec<T>(projection<T>(anchors)));
    train(exec, pipeline, setup.model.vocab, 2);
    sender(pipeline, 0).diagnose(exec);
  }
  const auto train_through = [&](const codec::Codec<T>& codec) {
    const auto setup = setup_of({.stages = 2});
    pipeline::Pipeline<T> pipeline(exec, setup, codec);
    train(exec, pipeline, setup.model.vocab, 1);
    pipeline.executors()[0]->units()[0].sender()->diagnose(exec);
  };
  train_through(codec::QuantisedCodec<T>({.bits = 4}));
  train_through(codec::TopKCodec<T>({.k = 3}));
  expect_proper(recorder.kernels());
  expect_proper(recorder.regions());
  // Kokkos words its own fences as it likes, but calls those without a label so.
  for (const auto& label : recorder.fences()) EXPECT_EQ(label.find("Unnamed"), label.npos) << label;
  expect_proper(recorder.allocations());
  for (const char* topic :
       {"rms_norm", "rope", "attention", "swiglu", "embedding", "cross_entropy", "adamw", "msign", "codec"}) {
    EXPECT_TRUE(any_begins_with(recorder.kernels(), std::string("strait::") + topic)) << topic;
  }
}

TEST(Labels, OfTrainingInSinglePrecision) { expect_proper_training<float>(); }

TEST(Labels, OfTrainingInDoublePrecision) { expect_proper_training<double>(); }

}  // namespace
}  // namespace strait::test
