// Loss and every gradient through two projected boundaries against PyTorch's autograd
// (tests/reference/projection_twin.py).
#include "strait/io/tensor.hpp"
#include "strait/model/parameter_io.hpp"

#include "reference/golden.hpp"
#include "support/projection.hpp"

#include <gtest/gtest.h>

namespace strait::test {
namespace {

using codec::AnchorKind;

template <class T>
constexpr double tolerance = std::is_same_v<T, float> ? 1e-5 : 1e-10;  ///< of a tensor's largest value

std::string stored_name(const model::ParameterInfo& info, int stage) {
  return info.role == model::ParameterRole::anchor ? fmt::format("anchors/{}/E", stage)
                                                   : "parameters/" + info.name;
}

template <class T>
void compare(const std::string& name, AnchorKind anchors) {
  constexpr int stages = 3;
  const ExecutionSpace exec;
  const Golden golden("projection_" + name);
  pipeline::PipelineSetup setup = setup_of({.micro_batches = 1});
  setup.model = golden.config;
  setup.spans = model::split_layers(setup.model, stages, {1, 1, 1});
  setup.sequences = golden.sequences;
  auto options = projection<T>(anchors, optim::spel, 2);
  options.rank = static_cast<int>(golden.root.attribute<std::int64_t>("rank"));
  pipeline::Pipeline<T> pipeline(exec, setup, codec::ProjectionCodec<T>(options));
  const auto stage = [&](int index) -> model::Stage<T>& {
    return pipeline.executors()[index]->units()[0].stage();
  };

  for (int s = 0; s < stages; ++s) {
    model::load_parameters<T>(exec, golden.root, stage(s).layout(), stage(s).weights(),
                              [s](const auto& info) { return stored_name(info, s); });
  }
  for (int p = 0; p + 1 < stages; ++p) {
    if (anchors == AnchorKind::factorized) {
      sender(pipeline, p).load_anchors(exec, golden.root.group(fmt::format("anchors/{}", p)));
      receiver(pipeline, p).load_anchors(exec, golden.root.group(fmt::format("anchors/{}", p + 1)));
    }
    ASSERT_TRUE(sender(pipeline, p).load(exec, golden.root.group(fmt::format("boundary/{}", p))));
    ASSERT_TRUE(receiver(pipeline, p).load(exec, golden.root.group(fmt::format("boundary/{}", p))));
  }

  pipeline::StepInfo info = step_info(0);
  info.learning_rate = 0.0;
  const auto fill = [&](const MutableTokenIds& view, const char* dataset) {
    if (view.extent(0) == 0) return;
    const auto values = golden.root.read<std::int32_t>(dataset);
    auto host = to_host(exec, view);
    std::copy(values.begin(), values.end(), host.data());
    to_device(exec, view, host);
  };
  const double loss = pipeline
                          .step(info,
                                [&](const pipeline::BatchRequest& request) {
                                  fill(request.ids, "tokens");
                                  fill(request.targets, "targets");
                                })
                          .loss;
  const double wanted = golden.root.read<double>("loss").at(0);
  EXPECT_NEAR(loss, wanted, tolerance<T> * wanted);

  const auto expect_equal = [&](const Matrix<T>& found, const std::string& path) {
    const auto values = golden.root.group("gradients").template read<T>(path);
    const Matrix<T> expected("strait::test::golden", found.extent(0), found.extent(1));
    auto host = to_host(exec, expected);
    ASSERT_EQ(values.size(), host.size()) << path;
    std::copy(values.begin(), values.end(), host.data());
    to_device(exec, expected, host);
    EXPECT_LT(relative_difference(exec, found, expected), tolerance<T>) << path;
  };
  for (int s = 0; s < stages; ++s) {
    const auto& layout = stage(s).layout();
    for (std::size_t i = 0; i < layout.entries().size(); ++i) {
      expect_equal(layout.view(stage(s).gradients(), static_cast<int>(i)),
                   stored_name(layout.entries()[i], s));
    }
  }
  for (int p = 0; p + 1 < stages; ++p) {
    codec::Message message;
    message.bytes =
        Vector<std::uint8_t>("strait::test::message", golden.config.hidden * options.rank * sizeof(T));
    receiver(pipeline, p).send_sync_up(exec, message);
    sender(pipeline, p).receive_sync_up(exec, message);
    expect_equal(sender(pipeline, p).take_gradient(exec), fmt::format("boundary/{}/A", p));
  }
}

template <class T>
class ProjectionTwin : public ::testing::Test {};
using Scalars = ::testing::Types<float, double>;
TYPED_TEST_SUITE(ProjectionTwin, Scalars);

TYPED_TEST(ProjectionTwin, WithFactorisedAnchors) {
  compare<TypeParam>("factorized", AnchorKind::factorized);
}
TYPED_TEST(ProjectionTwin, WithFullAnchors) { compare<TypeParam>("full", AnchorKind::full); }
TYPED_TEST(ProjectionTwin, WithoutAnchors) { compare<TypeParam>("none", AnchorKind::none); }

}  // namespace
}  // namespace strait::test
