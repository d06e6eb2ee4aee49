// AdamW on a whole model against torch.optim.AdamW, and its state on file.
#include "strait/kernels/elementwise.hpp"
#include "strait/model/parameter_io.hpp"
#include "strait/model/stage.hpp"
#include "strait/optim/optimizer.hpp"

#include "reference/golden.hpp"
#include "support/llama.hpp"
#include "support/optimizers.hpp"
#include "support/temporary_directory.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>

namespace strait::optim {
namespace {

OptimizerConfig config_with(double clip) { return test::constant_rate("adamw", 1e-3, clip); }

void read_ids(const ExecutionSpace& exec, const io::Group& group, const std::string& name,
              const MutableTokenIds& ids) {
  auto host = to_host(exec, ids);
  group.dataset(name).read(host.data());
  to_device(exec, ids, host);
}

template <class T>
void follow_trajectory(const std::string& name, double tolerance) {
  SCOPED_TRACE(name);
  const ExecutionSpace exec;
  const test::Golden golden(name);
  const auto expected = golden.root.group("adamw");
  model::Stage<T> stage(exec, golden.config, golden.whole_model(), {.sequences = golden.sequences});
  const auto& weights = stage.weights();
  model::load_parameters<T>(exec, golden.root.group("parameters"), stage.layout(), weights);
  read_ids(exec, golden.root, "tokens", stage.ids(0));
  read_ids(exec, golden.root, "targets", stage.targets(0));

  const auto config = config_with(expected.attribute<double>("clip"));
  EXPECT_EQ(config.weight_decay, expected.attribute<double>("weight_decay"));
  EXPECT_EQ(config.beta2, expected.attribute<double>("beta2"));
  const auto optimizer = make_optimizer<T>(config, stage.layout());
  const auto tokens = static_cast<double>(stage.tokens());
  const auto rates = expected.read<double>("learning_rates");
  for (std::size_t step = 0; step < rates.size(); ++step) {
    Kokkos::deep_copy(exec, stage.gradients(), T(0));
    stage.forward(0, weights);
    stage.backward(0, weights, 1.0 / tokens);
    const double loss = expected.read<double>("losses").at(step);
    EXPECT_NEAR(stage.take_loss() / tokens, loss, tolerance * loss) << "step " << step;
    const double norm = std::sqrt(kernels::sum_of_squares<T>(exec, stage.gradients()));
    EXPECT_NEAR(norm, expected.read<double>("gradient_norms").at(step), tolerance * norm) << "step " << step;
    optimizer->update(exec, weights, stage.gradients(),
                      {.step = static_cast<std::int64_t>(step),
                       .learning_rate = rates[step],
                       .gradient_scale = config.clip_factor(norm)});
  }

  const Vector<T> end("strait::test::end", stage.layout().size());
  model::load_parameters<T>(exec, expected.group("parameters"), stage.layout(), end);
  for (const auto& info : stage.layout().entries()) {
    const Vector<T> here(weights.data() + info.offset, info.size());
    const Vector<T> there(end.data() + info.offset, info.size());
    EXPECT_LT(test::relative_difference(exec, here, there), tolerance) << info.name;
  }
}

TEST(AdamWTrajectory, IsTorchsInDouble) {
  follow_trajectory<double>("mha_untied", 1e-9);
  follow_trajectory<double>("gqa_tied", 1e-9);
}

TEST(AdamWTrajectory, IsTorchsInFloat) {
  // Where a gradient is nearly zero its sign, and with it the step, is a matter of rounding.
  follow_trajectory<float>("mha_untied", 2e-4);
  follow_trajectory<float>("gqa_tied", 2e-4);
}

/// `count` updates with gradients that are a function of name, index and step.
template <class T>
void take_steps(const ExecutionSpace& exec, Optimizer<T>& optimizer, const model::ParameterLayout& layout,
                const Vector<T>& weights, std::int64_t first, std::int64_t count) {
  for (std::int64_t step = first; step < first + count; ++step) {
    const auto gradients = test::lively_weights<T>(exec, layout);
    optimizer.update(exec, weights, gradients,
                     {.step = step, .learning_rate = 1e-2, .gradient_scale = 1.0 / (1.0 + step)});
  }
}

TEST(AdamWState, ContinuesOnOtherCuts) {
  const ExecutionSpace exec;
  const auto config = test::tiny_llama(2, true);
  const model::Stage<float> whole(exec, config, test::whole_model(config), {});
  const auto adamw = make_optimizer<float>(config_with(0.0), whole.layout());
  EXPECT_EQ(adamw->state_bytes(), 8 * whole.layout().size());
  take_steps(exec, *adamw, whole.layout(), whole.weights(), 0, 3);

  const test::TemporaryDirectory folder;
  auto file = io::File::create(folder.file("state.h5"));
  adamw->save(exec, file.root().create_group("optimizer"));
  model::save_parameters(exec, file.root().create_group("parameters"), whole.layout(), whole.weights());
  file.close();
  take_steps(exec, *adamw, whole.layout(), whole.weights(), 3, 2);
  auto file_of_parts = io::File::create(folder.file("parts.h5"));

  const auto saved = io::File::open(folder.file("state.h5"));
  EXPECT_EQ(saved.root().group("optimizer").attribute<std::int64_t>("step"), 3);
  for (const auto& span : model::split_layers(config, 2, {})) {
    const model::Stage<float> part(exec, config, span, {});
    const auto again = make_optimizer<float>(config_with(0.0), part.layout());
    model::load_parameters(exec, saved.root().group("parameters"), part.layout(), part.weights());
    again->load(exec, saved.root().group("optimizer"));
    again->save(exec, file_of_parts.root().require_group("optimizer"));
    take_steps(exec, *again, part.layout(), part.weights(), 3, 2);
    for (std::size_t i = 0; i < part.layout().entries().size(); ++i) {
      const auto& name = part.layout().entries()[i].name;
      const int index = test::find(whole.layout(), name);
      ASSERT_GE(index, 0) << name;
      EXPECT_EQ(test::relative_difference(exec, part.layout().view(part.weights(), static_cast<int>(i)),
                                          whole.layout().view(whole.weights(), index)),
                0.0)
          << name;
    }
  }

  for (const std::string moment : {"optimizer/mean", "optimizer/square"}) {
    const auto group = saved.root().group(moment), of_parts = file_of_parts.root().group(moment);
    EXPECT_EQ(of_parts.children(), group.children());
    for (const auto& name : group.children()) {
      EXPECT_EQ(of_parts.read<float>(name), group.read<float>(name)) << moment << "/" << name;
    }
  }
}

TEST(AdamWDecay, IsForMatricesAndTheHeadOnly) {
  const ExecutionSpace exec;
  const auto config = test::tiny_llama(1, false);
  const model::Stage<double> stage(exec, config, test::whole_model(config),
                                   {.add_parameters = [](model::ParameterLayout& layout) {
                                     layout.add("anchor", model::ParameterRole::anchor, 2, 4);
                                   }});
  const auto adamw = make_optimizer<double>(config_with(0.0), stage.layout());
  const auto weights = test::lively_weights<double>(exec, stage.layout());
  const auto before = to_host(exec, weights);
  const Vector<double> zero("strait::test::zero", stage.layout().size());
  adamw->update(exec, weights, zero, {.learning_rate = 0.5});
  const auto after = to_host(exec, weights);
  for (const auto& info : stage.layout().entries()) {
    using enum model::ParameterRole;
    const double kept = info.role == matrix || info.role == head ? 1.0 - 0.5 * 0.1 : 1.0;
    for (std::int64_t i = info.offset; i < info.offset + info.size(); ++i) {
      ASSERT_DOUBLE_EQ(after(i), kept * before(i)) << info.name;
    }
  }
}

}  // namespace
}  // namespace strait::optim
