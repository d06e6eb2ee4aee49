// Loss, gradients and ten steps of a model that is held in a subspace, through two boundaries, against
// PyTorch (tests/reference/subspace_twin.py).
#include "strait/io/tensor.hpp"
#include "strait/model/parameter_io.hpp"

#include "reference/golden.hpp"
#include "support/subspace.hpp"

#include <gtest/gtest.h>

namespace strait::test {
namespace {

template <class T>
class SubspaceTwin : public ::testing::Test {
 protected:
  static constexpr int stages = 3;
  static constexpr bool is_double = std::is_same_v<T, double>;

  SubspaceTwin() : golden_("subspace"), setup_(setup_of_golden()) {
    auto options = subspace<T>();
    options.rank = static_cast<int>(golden_.root.template attribute<std::int64_t>("rank"));
    pipeline_.emplace(exec_, setup_, codec::SubspaceCodec<T>(options));
    for (int s = 0; s < stages; ++s) {
      auto& own = subspace_of(*pipeline_, s);
      io::read_tensor(golden_.root, "U", exec_, own.basis());
      io::read_tensor(golden_.root, "F", exec_, own.table());
      model::load_parameters<T>(exec_, golden_.root.group("parameters"), stage(s).layout(),
                                stage(s).weights());
    }
  }

  pipeline::PipelineSetup setup_of_golden() const {
    const auto number = [this](const char* name) { return golden_.root.template attribute<double>(name); };
    pipeline::PipelineSetup setup = test::setup_of({.micro_batches = 1, .clip = number("clip")});
    setup.model = golden_.config;
    const auto split = golden_.root.template read<std::int32_t>("split");
    setup.spans = model::split_layers(setup.model, stages, {split.begin(), split.end()});
    setup.sequences = golden_.sequences;
    setup.optimizer.beta1 = number("beta1");
    setup.optimizer.beta2 = number("beta2");
    setup.optimizer.epsilon = number("epsilon");
    setup.optimizer.weight_decay = number("weight_decay");
    return setup;
  }

  model::Stage<T>& stage(int s) { return pipeline_->executors()[s]->units()[0].stage(); }

  pipeline::StepResult step(std::int64_t index, double rate) {
    pipeline::StepInfo info = step_info(index);
    info.learning_rate = rate;
    return pipeline_->step(info, [&](const pipeline::BatchRequest& request) {
      if (request.ids.extent(0) > 0) io::read_tensor(golden_.root, "tokens", exec_, request.ids);
      if (request.targets.extent(0) > 0) io::read_tensor(golden_.root, "targets", exec_, request.targets);
    });
  }

  /// Compares what `flat(stage)` holds with the tensors of `group`, to `tolerance` of a tensor's largest.
  template <class Flat>
  void expect_equal(const std::string& group, double tolerance, const Flat& flat) {
    for (int s = 0; s < stages; ++s) {
      const auto& layout = stage(s).layout();
      const Vector<T> wanted("strait::test::wanted", layout.size());
      model::load_parameters<T>(exec_, golden_.root.group(group), layout, wanted);
      for (std::size_t i = 0; i < layout.entries().size(); ++i) {
        const int index = static_cast<int>(i);
        EXPECT_LT(relative_difference(exec_, layout.view(flat(s), index), layout.view(wanted, index)),
                  tolerance)
            << group << " " << layout.entries()[i].name;
      }
    }
  }

  ExecutionSpace exec_;
  Golden golden_;
  pipeline::PipelineSetup setup_;
  std::optional<pipeline::Pipeline<T>> pipeline_;
};

using Scalars = ::testing::Types<float, double>;
TYPED_TEST_SUITE(SubspaceTwin, Scalars);

TYPED_TEST(SubspaceTwin, LossAndGradients) {
  const double loss = this->golden_.root.template read<double>("losses").at(0);
  const double tolerance = this->is_double ? 1e-10 : 1e-5;
  EXPECT_NEAR(this->step(0, 0.0).loss, loss, tolerance * loss);
  this->expect_equal("gradients", tolerance, [this](int s) { return this->stage(s).gradients(); });
}

TYPED_TEST(SubspaceTwin, TenSteps) {
  const auto read = [this](const char* name) { return this->golden_.root.template read<double>(name); };
  const auto rates = read("rates"), losses = read("losses"), norms = read("norms");
  ASSERT_EQ(rates.size(), 10u);
  // In single precision the step of a gradient near zero is a matter of rounding.
  const double tolerance = this->is_double ? 1e-10 : 2e-4;
  for (std::size_t i = 0; i < rates.size(); ++i) {
    const auto result = this->step(static_cast<std::int64_t>(i), rates[i]);
    EXPECT_NEAR(result.loss, losses[i], tolerance * losses[i]) << "step " << i;
    EXPECT_NEAR(result.gradient_norm, norms[i], tolerance * norms[i]) << "step " << i;
  }
  this->expect_equal("after", 10 * tolerance, [this](int s) { return this->stage(s).weights(); });
}

}  // namespace
}  // namespace strait::test
