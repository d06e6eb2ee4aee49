#include "strait/app/plan_command.hpp"
#include "strait/app/units_text.hpp"

#include <fmt/ranges.h>

#include <algorithm>

namespace strait::app {

namespace {

using pipeline::Plan;
using pipeline::PlanStage;

/// "0-6", "0-3,8-11"
std::string ranges_text(const std::vector<int>& numbers) {
  std::string text;
  for (std::size_t i = 0; i < numbers.size();) {
    std::size_t end = i + 1;
    while (end < numbers.size() && numbers[end] == numbers[end - 1] + 1) ++end;
    text += fmt::format("{}{}", text.empty() ? "" : ",", numbers[i]);
    if (end > i + 1) text += fmt::format("-{}", numbers[end - 1]);
    i = end;
  }
  return text;
}

std::string layers_text(const PlanStage& stage) {
  return stage.last_layer == stage.first_layer + 1
             ? fmt::format("{}", stage.first_layer)
             : fmt::format("{}-{}", stage.first_layer, stage.last_layer - 1);
}

std::string table_text(const Plan& plan) {
  std::size_t wide = 5;
  for (const PlanStage& stage : plan.stages) wide = std::max(wide, ranges_text(stage.ranks).size());
  std::string text = fmt::format("{:<6} {:>9} {:>8}  {:<{}} {:>10} {:>9} {:>9} {:>10} {:>10} {:>9} {:>9}\n",
                                 "stage", "layers", "replicas", "ranks", wide, "compute ms", "codec",
                                 "update", "all-reduce", "transfer", "in flight", "memory");
  for (std::size_t s = 0; s < plan.stages.size(); ++s) {
    const PlanStage& stage = plan.stages[s];
    text +=
        fmt::format("{:<6} {:>9} {:>8}  {:<{}} {:>10.4g} {:>9.3g} {:>9.3g} {:>10.4g} {:>10.4g} {:>9} {:>9}\n",
                    s, layers_text(stage), stage.replicas(), ranges_text(stage.ranks), wide,
                    1e3 * stage.compute, 1e3 * stage.codec, 1e3 * stage.update, 1e3 * stage.all_reduce,
                    1e3 * stage.transfer, stage.in_flight, bytes_text(stage.memory_bytes));
  }
  return text;
}

/// The part of the plan that takes the longest, and what to do about it.
std::string bottleneck_text(const Plan& plan) {
  std::string what;
  double worst = -1.0;
  const auto consider = [&](double seconds, const std::string& text) {
    if (seconds <= worst) return;
    worst = seconds;
    what = text;
  };
  for (std::size_t s = 0; s < plan.stages.size(); ++s) {
    const PlanStage& stage = plan.stages[s];
    consider(stage.busy(), fmt::format("stage {} computes: faster or more ranks would help", s));
    consider(stage.all_reduce,
             fmt::format("the all-reduce of stage {}: a faster link or fewer replicas would help", s));
    consider(stage.transfer, fmt::format("the link behind stage {}: a faster link or a codec would help", s));
  }
  return what;
}

std::string deck_text(const Plan& plan) {
  std::vector<int> replicas, split, order;
  for (const PlanStage& stage : plan.stages) {
    replicas.push_back(stage.replicas());
    split.push_back(stage.last_layer - stage.first_layer);
    order.insert(order.end(), stage.ranks.begin(), stage.ranks.end());
  }
  std::string text = fmt::format("[pipeline]\nstages = {}\n", plan.stages.size());
  if (plan.ranks() > static_cast<int>(plan.stages.size())) {
    text += fmt::format("replicas = [{}]\n", fmt::join(replicas, ", "));
  }
  text += fmt::format("split = [{}]\n", fmt::join(split, ", "));
  if (!std::is_sorted(order.begin(), order.end())) {
    text += fmt::format("# start the ranks in this order of the machine's: {}\n", ranges_text(order));
  }
  return text;
}

}  // namespace

std::string plan_text(const pipeline::PlanTask& task, const Plan& plan, double tokens) {
  std::string text = table_text(plan) + "\n";
  const auto say = [&](const std::string& name, const std::string& value) {
    text += fmt::format("{:<12} {}\n", name, value);
  };
  double work = 0.0;
  for (const auto& layer : task.layers) work += layer.compute();
  double speed = 0.0;
  for (int rank = 0; rank < task.machine.ranks(); ++rank) speed += task.machine.speed_of(rank);
  say("bottleneck", bottleneck_text(plan));
  say("micro-batch",
      fmt::format("{:.4g} ms each in steady state, {:.0f} % of what perfect balance and free links give; "
                  "{:.4g} ms for one alone",
                  1e3 * plan.seconds_per_micro_batch, 100.0 * work / speed / plan.seconds_per_micro_batch,
                  1e3 * plan.seconds_one_micro_batch));
  say("step", fmt::format("{:.4g} s, {}tokens/s", plan.seconds_per_step,
                          with_prefix(tokens / plan.seconds_per_step)));
  say("in flight", fmt::format("{} micro-batches per rank of the first stage keep all ranks busy (NOAM)",
                               plan.micro_batches_in_flight));
  return text + "\n" + deck_text(plan) + "\n";
}

}  // namespace strait::app
