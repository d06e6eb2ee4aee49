// Muon with AdamW for the rest: against PyTorch, by role, and its state on file.
#include "strait/kernels/elementwise.hpp"
#include "strait/model/parameter_io.hpp"
#include "strait/model/stage.hpp"
#include "strait/optim/optimizer.hpp"

#include "reference/golden_folder.hpp"
#include "support/kokkos_tools.hpp"
#include "support/llama.hpp"
#include "support/optimizers.hpp"
#include "support/temporary_directory.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

namespace strait::optim {
namespace {

OptimizerConfig muon(bool nesterov = true) {
  OptimizerConfig config = test::constant_rate("muon", 0.02);
  config.nesterov = nesterov;
  return config;
}

/// The parameters of the twin's file in the order of its script.
model::ParameterLayout twin_layout() {
  using enum model::ParameterRole;
  model::ParameterLayout layout;
  layout.add("model.embed_tokens.weight", embedding, 11, 12);
  layout.add("model.layers.0.input_layernorm.weight", gain, 1, 12);
  layout.add("model.layers.0.self_attn.q_proj.weight", matrix, 12, 12);
  layout.add("model.layers.0.self_attn.k_proj.weight", matrix, 6, 12);
  layout.add("model.layers.0.self_attn.o_proj.weight", matrix, 12, 12);
  layout.add("model.layers.0.mlp.gate_proj.weight", matrix, 20, 12);
  layout.add("model.layers.0.mlp.down_proj.weight", matrix, 12, 20);
  layout.add("lm_head.weight", head, 11, 12);
  layout.add("anchors.0", anchor, 11, 4);
  return layout;
}

TEST(Muon, TakesTheStepsOfTheTwin) {
  const ExecutionSpace exec;
  const auto file = io::File::open(test::golden_file("muon"));
  const auto rates = file.root().read<double>("rates");
  ASSERT_EQ(rates.size(), 5u);
  const auto layout = twin_layout();
  const Vector<double> weights("strait::test::weights", layout.size());
  const Vector<double> gradients("strait::test::gradients", layout.size());
  const Vector<double> expected("strait::test::expected", layout.size());
  for (const bool nesterov : {true, false}) {
    const auto config = muon(nesterov);
    for (const auto& [key, value] : {std::pair{"momentum", config.momentum},
                                     {"matrix_fraction", config.matrix_fraction},
                                     {"vector_fraction", config.vector_fraction},
                                     {"weight_decay", config.weight_decay}}) {
      ASSERT_EQ(file.root().attribute<double>(key), value) << key;
    }
    const auto optimizer = make_optimizer<double>(config, layout);
    model::load_parameters(exec, file.root().group("weights"), layout, weights);
    for (std::size_t step = 0; step < rates.size(); ++step) {
      model::load_parameters(exec, file.root().group(fmt::format("gradients/{}", step)), layout, gradients);
      optimizer->update(exec, weights, gradients,
                        {.step = static_cast<std::int64_t>(step), .learning_rate = rates[step]});
    }
    model::load_parameters(exec, file.root().group(nesterov ? "nesterov" : "plain"), layout, expected);
    for (int i = 0; i < static_cast<int>(layout.entries().size()); ++i) {
      EXPECT_LT(test::relative_difference(exec, layout.view(weights, i), layout.view(expected, i)), 1e-10)
          << layout.entries()[i].name;
    }
  }
}

/// `count` updates with gradients that are a function of name, index and step.
template <class T>
void take_steps(const ExecutionSpace& exec, Optimizer<T>& optimizer, const model::ParameterLayout& layout,
                const Vector<T>& weights, int first, int count) {
  for (int step = first; step < first + count; ++step) {
    const auto gradients = test::lively_weights<T>(exec, layout);
    optimizer.update(exec, weights, gradients,
                     {.step = step, .learning_rate = 1e-2, .gradient_scale = 1.0 / (1.0 + step)});
  }
}

TEST(MuonState, ContinuesOnOtherCuts) {
  const ExecutionSpace exec;
  for (const bool tied : {false, true}) {
    const auto config = test::tiny_llama(2, tied);
    const model::Stage<float> whole(exec, config, test::whole_model(config), {});
    const auto optimizer = make_optimizer<float>(muon(), whole.layout());
    take_steps(exec, *optimizer, whole.layout(), whole.weights(), 0, 3);

    const test::TemporaryDirectory folder;
    auto file = io::File::create(folder.file("state.h5"));
    optimizer->save(exec, file.root().create_group("optimizer"));
    model::save_parameters(exec, file.root().create_group("parameters"), whole.layout(), whole.weights());
    take_steps(exec, *optimizer, whole.layout(), whole.weights(), 3, 2);

    const auto state = file.root().group("optimizer");
    EXPECT_TRUE(state.group("momentum").is_dataset("model.layers.1.self_attn.k_proj.weight"));
    EXPECT_FALSE(state.group("mean").is_dataset("model.layers.1.self_attn.k_proj.weight"));
    EXPECT_TRUE(state.group("mean").is_dataset("model.layers.1.input_layernorm.weight"));
    for (const auto& span : model::split_layers(config, 2, {})) {
      const model::Stage<float> part(exec, config, span, {});
      const auto again = make_optimizer<float>(muon(), part.layout());
      model::load_parameters(exec, file.root().group("parameters"), part.layout(), part.weights());
      again->load(exec, state);
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
  }
}

TEST(MuonState, IsSmallerThanAdamWs) {
  const ExecutionSpace exec;
  const auto config = test::tiny_llama(8, false);
  const model::Stage<float> stage(exec, config, test::whole_model(config), {});
  const auto optimizer = make_optimizer<float>(muon(), stage.layout());
  EXPECT_EQ(optimizer->state_bytes(), state_bytes_needed<float>(muon(), stage.layout()));
  EXPECT_LT(optimizer->state_bytes(), 8 * stage.layout().size());
}

TEST(Muon, DecaysMatricesAndTheHeadEachAtTheirRate) {
  const ExecutionSpace exec;
  const auto layout = twin_layout();
  auto config = muon();
  config.matrix_fraction = 0.8;
  const auto optimizer = make_optimizer<double>(config, layout);
  const auto weights = test::lively_weights<double>(exec, layout);
  const auto before = to_host(exec, weights);
  const Vector<double> zero("strait::test::zero", layout.size());
  optimizer->update(exec, weights, zero, {.learning_rate = 0.5});
  const auto after = to_host(exec, weights);
  for (const auto& info : layout.entries()) {
    using enum model::ParameterRole;
    const double rate = info.role == matrix ? 0.8 * 0.5 : info.role == head ? 0.5 * 0.5 : 0.0;
    for (std::int64_t i = info.offset; i < info.offset + info.size(); ++i) {
      ASSERT_DOUBLE_EQ(after(i), (1.0 - 0.1 * rate) * before(i)) << info.name;
    }
  }
}

/// The update of a matrix has the size of its learning rate, whatever the gradient's.
TEST(Muon, MovesMatricesByTheirRate) {
  const ExecutionSpace exec;
  const auto layout = twin_layout();
  auto config = muon();
  config.weight_decay = 0.0;
  for (const double scale : {1.0, 1e-3}) {
    const auto optimizer = make_optimizer<double>(config, layout);
    const auto weights = test::lively_weights<double>(exec, layout);
    const auto before = to_host(exec, weights);
    optimizer->update(exec, weights, test::random_vector<double>(exec, layout.size(), 3),
                      {.learning_rate = 0.01, .gradient_scale = scale});
    const auto after = to_host(exec, weights);
    for (const auto& info : layout.entries()) {
      if (info.role != model::ParameterRole::matrix) continue;
      double moved = 0.0;
      for (std::int64_t i = info.offset; i < info.offset + info.size(); ++i) {
        moved += (after(i) - before(i)) * (after(i) - before(i));
      }
      const auto order = static_cast<double>(std::min(info.rows, info.columns));
      const double aspect = static_cast<double>(info.rows) / static_cast<double>(info.columns);
      const double expected = 0.01 * std::sqrt(order * std::max(1.0, aspect));
      EXPECT_NEAR(std::sqrt(moved) / expected, 1.0, 0.15) << info.name << ", gradients times " << scale;
    }
  }
}

TEST(Muon, AllocatesNothingInAStep) {
  const ExecutionSpace exec;
  const auto layout = twin_layout();
  const auto optimizer = make_optimizer<float>(muon(), layout);
  const auto weights = test::lively_weights<float>(exec, layout);
  const auto gradients = test::random_vector<float>(exec, layout.size(), 3);
  const test::LabelRecorder recorder;
  optimizer->update(exec, weights, gradients, {.learning_rate = 0.01});
  EXPECT_EQ(recorder.allocations(), std::set<std::string>{});
  EXPECT_TRUE(recorder.regions().count("strait::optim::muon"));
}

}  // namespace
}  // namespace strait::optim
