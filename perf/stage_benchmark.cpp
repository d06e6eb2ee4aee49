// Forward and backward of one micro-batch: of the whole model, and of the layers of a middle stage. The model
// also says where the time of a step goes, the micro-batches of its deck and one update by AdamW together:
// milliseconds by kernel label (regions: what is in no kernel) and `gemm_share`, that of products. The labels
// are counted where kernels run as they are launched, on hosts; with several threads attention is one kernel.

#include "strait/model/stage.hpp"

#include "kernel_times.hpp"
#include "operands.hpp"
#include "optimizer_settings.hpp"
#include "suite.hpp"

namespace strait::model {
namespace {

/// By label, for all that is above a thousandth, and the share of products.
std::map<std::string, double> shares_of_step(const std::map<std::string, double>& passes,
                                             const std::map<std::string, double>& update, int micro_batches) {
  std::map<std::string, double> seconds = update, counters;
  for (const auto& [label, value] : passes) seconds[label] += micro_batches * value;
  double total = 0.0;
  for (const auto& [label, value] : seconds) total += value;
  for (const auto& [label, value] : seconds) {
    if (value > 1e-3 * total) counters[label] = 1e3 * value;
  }
  counters["gemm_share"] = seconds["gemm"] / total;
  return counters;
}

perf::Task whole_model(const ExecutionSpace& exec, const perf::Deck& deck, bool recompute) {
  const StageSpan span{0, deck.model.layers, true, true};
  const auto stage = std::make_shared<Stage<float>>(
      exec, deck.model, span, StageOptions{.sequences = deck.sequences, .recompute = recompute});
  perf::fill_ids(exec, stage->ids(0), deck.model.vocab);
  perf::fill_ids(exec, stage->targets(0), deck.model.vocab);
  const auto pass = [=] {
    stage->forward(0, stage->weights());
    stage->backward(0, stage->weights(), 1.0 / static_cast<double>(stage->tokens()));
    benchmark::DoNotOptimize(stage->take_loss());
  };
  perf::Task task{.run = pass,
                  .work = {.flops = deck.model.flops_per_token() * static_cast<double>(stage->tokens())}};
  if (host_accessible) {
    const auto optimizer = optim::make_optimizer<float>(perf::optimizer_settings("adamw"), stage->layout());
    const auto update = [&] {
      Kokkos::deep_copy(exec, stage->gradients(), 0.0f);
      benchmark::DoNotOptimize(kernels::sum_of_squares<float>(exec, stage->gradients()));
      optimizer->update(exec, stage->weights(), stage->gradients(), {.learning_rate = 1e-6});
    };
    pass();
    update();
    task.counters =
        shares_of_step(perf::kernel_seconds(pass), perf::kernel_seconds(update), deck.micro_batches);
  }
  return task;
}

perf::Task layers(const ExecutionSpace& exec, const perf::Deck& deck, int count) {
  const auto stage = std::make_shared<Stage<float>>(exec, deck.model, StageSpan{1, 1 + count, false, false},
                                                    StageOptions{.sequences = deck.sequences});
  kernels::fill_normal<float>(exec, Vector<float>(stage->input(0).data(), stage->input(0).size()), 1.0, 1, 1);
  auto headless = deck.model;
  headless.layers = count;
  headless.vocab = 0;
  return {.run =
              [=] {
                stage->forward(0, stage->weights());
                kernels::copy<float>(exec, stage->output_gradient(), stage->output(0));
                stage->backward(0, stage->weights(), 1.0);
              },
          .work = {.flops = headless.flops_per_token() * static_cast<double>(stage->tokens())}};
}

void list(perf::Suite& suite, const std::vector<perf::Deck>& decks) {
  for (const auto& deck : decks) {
    suite.add("stage/model/" + deck.name,
              [deck](const ExecutionSpace& exec) { return whole_model(exec, deck, false); });
    suite.add("stage/model/" + deck.name + ", recompute",
              [deck](const ExecutionSpace& exec) { return whole_model(exec, deck, true); });
    suite.add("stage/layers/" + deck.name + ", 2",
              [deck](const ExecutionSpace& exec) { return layers(exec, deck, 2); });
  }
}
const perf::Registration registration(list);

}  // namespace
}  // namespace strait::model
