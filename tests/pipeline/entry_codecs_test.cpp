// Runs of pipelines whose boundaries send integers or the largest entries.
#include "support/entry_codecs.hpp"

#include "strait/codec/none.hpp"

#include "support/finite_difference.hpp"
#include "support/pipelines.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace strait::test {
namespace {

using codec::QuantisedOptions;
using codec::Wire;
using pipeline::Pipeline;

ExecutionSpace exec() { return {}; }

template <class T>
Trajectory trained(const codec::Codec<T>& codec, int steps, const PipelineCase& c = {.stages = 3}) {
  const auto setup = setup_of(c);
  Pipeline<T> pipeline(exec(), setup, codec);
  return train(exec(), pipeline, setup.model.vocab, steps);
}

/// What int8, int4 and int2 make of x, on the host.
template <class T>
Matrix<T> plainly_quantised(ConstMatrix<T> x, const QuantisedOptions& options) {
  const auto host = to_host(exec(), x);
  const PlainIntegers<T> integers(host, options);
  for (std::size_t i = 0; i < host.extent(0); ++i) {
    for (int j = 0; j < static_cast<int>(host.extent(1)); ++j) host(i, j) = integers(i, j);
  }
  const Matrix<T> out("strait::test::quantised", x.extent(0), x.extent(1));
  to_device(exec(), out, host);
  return out;
}

/// Sends every number of what a plain loop on the host makes of x.
template <class T>
class PlainSender : public codec::Sender<T> {
 public:
  explicit PlainSender(const QuantisedOptions& options) : options_(options) {}
  void encode(const ExecutionSpace&, const codec::Context&, ConstMatrix<T> x,
              codec::Message& message) override {
    message.size =
        codec::pack<T>(exec(), message.bytes, 0, plainly_quantised<T>(x, options_), codec::exact_wire<T>);
  }
  void decode_gradient(const ExecutionSpace&, const codec::Context&, const codec::Message& message,
                       const Matrix<T>& dx) override {
    codec::unpack(exec(), dx, message.bytes, 0, codec::exact_wire<T>);
  }

 private:
  QuantisedOptions options_;
};

template <class T>
class PlainReceiver : public codec::Receiver<T> {
 public:
  explicit PlainReceiver(const QuantisedOptions& options) : options_(options) {}
  void decode(const ExecutionSpace&, const codec::Context&, const codec::Message& message,
              const Matrix<T>& x) override {
    codec::unpack(exec(), x, message.bytes, 0, codec::exact_wire<T>);
  }
  void encode_gradient(const ExecutionSpace&, const codec::Context&, ConstMatrix<T> dx,
                       codec::Message& message) override {
    message.size =
        codec::pack<T>(exec(), message.bytes, 0, plainly_quantised<T>(dx, options_), codec::exact_wire<T>);
  }

 private:
  QuantisedOptions options_;
};

template <class T>
class PlainCodec : public codec::Codec<T> {
 public:
  explicit PlainCodec(const QuantisedOptions& options) : options_(options) {}
  codec::MessageBounds bounds(const codec::BoundaryShape& shape) const override {
    return codec::NoneCodec<T>(codec::exact_wire<T>).bounds(shape);
  }
  std::unique_ptr<codec::Sender<T>> sender(const ExecutionSpace&,
                                           const codec::BoundaryShape&) const override {
    return std::make_unique<PlainSender<T>>(options_);
  }
  std::unique_ptr<codec::Receiver<T>> receiver(const ExecutionSpace&,
                                               const codec::BoundaryShape&) const override {
    return std::make_unique<PlainReceiver<T>>(options_);
  }

 private:
  QuantisedOptions options_;
};

template <class T>
void expect_plain_run(int bits, Wire wire) {
  const QuantisedOptions options{.bits = bits, .group_size = 12, .wire = wire};
  const Trajectory found = trained<T>(codec::QuantisedCodec<T>(options), 5);
  const Trajectory wanted = trained<T>(PlainCodec<T>(options), 5);
  // The last bit of a mean, which two bits are scaled by, depends on the order of its sum.
  const double order = bits == 2 ? 1e-9 : 0.0;
  for (std::size_t step = 0; step < wanted.losses.size(); ++step) {
    EXPECT_NEAR(found.losses[step], wanted.losses[step], order * wanted.losses[step]) << step;
    EXPECT_NEAR(found.norms[step], wanted.norms[step], order * wanted.norms[step]) << step;
  }
  EXPECT_NEAR(found.evaluation, wanted.evaluation, order * wanted.evaluation);
}

TEST(IntegersInAPipeline, GiveTheRunOfPlainLoops) {
  for (const int bits : {8, 4, 2}) {
    expect_plain_run<float>(bits, Wire::bfloat16);
    expect_plain_run<double>(bits, Wire::float64);
  }
}

TEST(IntegersInAPipeline, StayNearTheRunWithoutThem) {
  const Trajectory wanted = trained<float>(exact_codec<float>(), 30);
  struct Case {
    int bits;
    double first, evaluation;  ///< distances
  };
  for (const Case& c : {Case{8, 1e-3, 0.02}, Case{4, 1e-2, 0.1}, Case{2, 5e-2, 0.3}}) {
    const Trajectory found =
        trained<float>(codec::QuantisedCodec<float>({.bits = c.bits, .group_size = 8}), 30);
    EXPECT_NEAR(found.losses[0], wanted.losses[0], c.first);
    EXPECT_NE(found.losses, wanted.losses);
    EXPECT_NEAR(found.evaluation, wanted.evaluation, c.evaluation * wanted.evaluation);
    EXPECT_LT(found.losses.back(), 0.95 * found.losses[0]);
  }
}

TEST(TopKInAPipeline, OfAllColumnsIsNoneBitForBit) {
  const Trajectory wanted = trained<float>(exact_codec<float>(), 5);
  const Trajectory found = trained<float>(codec::TopKCodec<float>({.k = 16}), 5);
  EXPECT_EQ(found.losses, wanted.losses);
  EXPECT_EQ(found.norms, wanted.norms);
  EXPECT_EQ(found.evaluation, wanted.evaluation);
}

/// The loss is smooth where no selection changes, as for small steps, and the columns of the forward make its
/// gradient exact.
TEST(TopKInAPipeline, HasTheGradientOfFiniteDifferences) {
  constexpr int micro_batches = 2;
  const auto setup = setup_of({.stages = 3, .micro_batches = micro_batches, .layers = 3});
  Pipeline<double> pipeline(exec(), setup, codec::TopKCodec<double>({.k = 6, .wire = Wire::float64}));
  for (auto& executor : pipeline.executors()) {
    auto& stage = executor->units()[0].stage();
    Kokkos::deep_copy(exec(), stage.weights(), lively_weights<double>(exec(), stage.layout()));
  }
  pipeline::StepInfo info = step_info(0);
  info.learning_rate = 0.0;
  const auto tokens = tokens_of_step(exec(), setup.model.vocab, 0);
  pipeline.step(info, tokens);
  const auto loss = [&] { return pipeline.evaluate(micro_batches, tokens); };
  for (auto& executor : pipeline.executors()) {
    auto& stage = executor->units()[0].stage();
    for (std::size_t i = 0; i < stage.layout().entries().size(); ++i) {
      const auto& info_of = stage.layout().entries()[i];
      if (!info_of.name.ends_with("down_proj.weight")) continue;
      expect_gradient(exec(), info_of.name, stage.layout().view(stage.weights(), static_cast<int>(i)),
                      stage.layout().view(stage.gradients(), static_cast<int>(i)), loss,
                      {.step = 1e-5, .entries = 24});
    }
  }
}

/// The loss of a run of three stages whose first has a weight that is NaN.
double loss_with_nan(const codec::Codec<float>& codec) {
  const auto setup = setup_of({.stages = 3});
  Pipeline<float> pipeline(exec(), setup, codec);
  const Vector<float>& weights = pipeline.executors()[0]->units()[0].stage().weights();
  const auto host = to_host(exec(), weights);
  host(host.extent(0) - 1) = std::numeric_limits<float>::quiet_NaN();
  to_device(exec(), weights, host);
  return pipeline.evaluate(1, tokens_of_step(exec(), setup.model.vocab, 0));
}

TEST(EntryCodecs, NaNReachesTheLoss) {
  EXPECT_TRUE(std::isnan(loss_with_nan(codec::QuantisedCodec<float>({.bits = 8}))));
  EXPECT_TRUE(std::isnan(loss_with_nan(codec::QuantisedCodec<float>({.bits = 4}))));
  EXPECT_TRUE(std::isnan(loss_with_nan(codec::QuantisedCodec<float>({.bits = 2}))));
  EXPECT_TRUE(std::isnan(loss_with_nan(codec::TopKCodec<float>({.k = 1}))));
}

}  // namespace
}  // namespace strait::test
