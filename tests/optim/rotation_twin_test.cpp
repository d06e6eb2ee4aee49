// Basis rotation, SOAP and NAdam against PyTorch.
#include "strait/model/parameter_io.hpp"

#include "reference/golden_folder.hpp"
#include "support/rotation.hpp"

#include <gtest/gtest.h>

namespace strait::optim {
namespace {

/// The matrices of the twin's file in the order of its script, which is that of their refreshes.
model::ParameterLayout twin_layout() {
  model::ParameterLayout layout;
  layout.add("square", model::ParameterRole::matrix, 7, 7);
  layout.add("wide", model::ParameterRole::matrix, 5, 9);
  layout.add("tall", model::ParameterRole::matrix, 8, 6);
  return layout;
}

class RotationTwin : public ::testing::Test {
 protected:
  RotationTwin() : file_(io::File::open(test::golden_file("rotation"))), layout_(twin_layout()) {}

  OptimizerConfig config_of(const std::string& name) const {
    auto config = test::constant_rate(name, 1e-2);
    const auto root = file_.root();
    config.beta1 = root.attribute<double>("beta1");
    config.beta2 = root.attribute<double>("beta2");
    config.epsilon = root.attribute<double>("epsilon");
    config.weight_decay = root.attribute<double>("weight_decay");
    config.refresh = root.attribute<std::int64_t>("refresh");
    return config;
  }

  /// The golden bases of every matrix, on those sides that it has.
  void inject_bases(Optimizer<double>& optimizer, bool two_sided) const {
    for (const auto& info : layout_.entries()) {
      const bool left = two_sided || info.rows < info.columns;
      const bool right = two_sided || !(info.rows < info.columns);
      const Matrix<double> u("strait::test::u", left ? info.rows : 0, left ? info.rows : 0);
      const Matrix<double> v("strait::test::v", right ? info.columns : 0, right ? info.columns : 0);
      if (left) io::read_tensor(file_.root().group("left"), info.name, exec_, u);
      if (right) io::read_tensor(file_.root().group("right"), info.name, exec_, v);
      test::inject(exec_, optimizer, info.name, u, v);
    }
  }

  void take_the_steps_of(const std::string& name, Optimizer<double>& optimizer) const {
    const Vector<double> weights("strait::test::weights", layout_.size());
    const Vector<double> gradients("strait::test::gradients", layout_.size());
    const Vector<double> expected("strait::test::expected", layout_.size());
    const auto rates = file_.root().read<double>("rates");
    ASSERT_EQ(rates.size(), 30u);
    model::load_parameters(exec_, file_.root().group("weights"), layout_, weights);
    for (std::size_t step = 0; step < rates.size(); ++step) {
      model::load_parameters(exec_, file_.root().group(fmt::format("gradients/{}", step)), layout_,
                             gradients);
      // As if clipping had to halve them.
      const auto doubled = to_host(exec_, gradients);
      for (std::int64_t i = 0; i < layout_.size(); ++i) doubled(i) *= 2.0;
      to_device(exec_, gradients, doubled);
      optimizer.update(
          exec_, weights, gradients,
          {.step = static_cast<std::int64_t>(step), .learning_rate = rates[step], .gradient_scale = 0.5});
    }
    const auto there = file_.root().group(name);
    ASSERT_TRUE(there.has("square"));
    model::load_parameters(exec_, there, layout_, expected, [&](const model::ParameterInfo& info) {
      return there.has(info.name) ? info.name : std::string();
    });
    for (int i = 0; i < static_cast<int>(layout_.entries().size()); ++i) {
      if (!there.has(layout_.entries()[i].name)) continue;
      EXPECT_LT(test::relative_difference(exec_, layout_.view(weights, i), layout_.view(expected, i)), 1e-9)
          << name << ", " << layout_.entries()[i].name;
    }
  }

  ExecutionSpace exec_;
  io::File file_;
  model::ParameterLayout layout_;
};

TEST_F(RotationTwin, BasisRotationTakesItsSteps) {
  for (const std::string source : {"second", "first"}) {
    for (const bool two_sided : {true, false}) {
      auto config = config_of("basis-rotation");
      config.source = source;
      config.two_sided = two_sided;
      const auto optimizer = make_optimizer<double>(config, layout_);
      inject_bases(*optimizer, two_sided);
      take_the_steps_of(source + (two_sided ? "-two" : "-one"), *optimizer);
    }
  }
}

TEST_F(RotationTwin, SoapTakesItsSteps) {
  take_the_steps_of("soap", *make_optimizer<double>(config_of("soap"), layout_));
}

TEST_F(RotationTwin, NadamTakesItsSteps) {
  take_the_steps_of("nadam", *make_optimizer<double>(config_of("nadam"), layout_));
}

}  // namespace
}  // namespace strait::optim
