#include "strait/pipeline/planner.hpp"

#include "strait/core/error.hpp"

#include "plan_assembly.hpp"
#include "plan_search.hpp"

#include <limits>
#include <numeric>

namespace strait::pipeline {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double rounding = 1.0 + 1e-12;

void check(const PlanTask& task) {
  ensure(!task.layers.empty() && !task.machine.levels.empty() && task.micro_batches >= 1,
         "a plan is of layers on a machine");
}

double capacity(const Machine& machine) {
  return machine.speed.empty() ? machine.ranks()
                               : std::accumulate(machine.speed.begin(), machine.speed.end(), 0.0);
}

[[noreturn]] void refuse(const PlanTask& task, const PlanCosts& costs) {
  const double memory = costs.memory() / 1e9;
  for (int layer = 0; layer < costs.layers(); ++layer) {
    const auto alone = costs.terms({.in_flight = 1, .versions = 1}, layer, layer + 1);
    if (alone.memory <= costs.memory()) continue;
    fail(ExitCode::deck, "no plan: layer {} alone needs {:.3g} GB, and a rank has {:.3g} GB", layer,
         alone.memory / 1e9, memory);
  }
  fail(ExitCode::deck,
       "no plan: on {} ranks of {:.3g} GB no cut of the {} layers fits into memory with schedule {}",
       task.machine.ranks(), memory, costs.layers(), task.schedule);
}

/// Looks between growing bounds: the nearer to what perfect balance would give, the fewer plans there are.
double least_bottleneck(const PlanTask& task, const PlanCosts& costs) {
  check(task);
  constexpr double least_slack = 1.0 / 16, most_slack = 1e6;
  const double balanced = costs.compute_before().back() / capacity(task.machine);
  double floor = 0.0;
  for (double slack = least_slack; slack <= most_slack; slack *= slack < 1.0 ? 2.0 : 8.0) {
    const double cap = balanced * (1.0 + slack);
    const double found = PlanSearch<Bottleneck>(costs, task.machine, cap, floor).value();
    if (found < infinity) return found;
    floor = cap;
  }
  const double found = PlanSearch<Bottleneck>(costs, task.machine, infinity, floor).value();
  if (found == infinity) refuse(task, costs);
  return found;
}

/// The plan through which a micro-batch passes soonest, of those with no bottleneck above `bound`.
Plan soonest(const PlanTask& task, const PlanCosts& costs, double bound) {
  return assemble(task, costs, PlanSearch<Latency>(costs, task.machine, bound).trace());
}

}  // namespace

Plan make_plan(const PlanTask& task) {
  const PlanCosts costs(task);
  return soonest(task, costs, least_bottleneck(task, costs) * rounding);
}

Plan make_plan_for_step(const PlanTask& task) {
  const PlanCosts costs(task);
  const double least = least_bottleneck(task, costs) * rounding;
  Plan best = soonest(task, costs, least);
  double bound = least;
  for (const double more : {1.25, 2.0, 4.0}) {
    // A bottleneck above the bound takes longer than the best plan once the bound alone does; one stage alone
    // has nothing to fill.
    if (!best.drains || bound * task.micro_batches >= best.seconds_per_step) break;
    bound = least * more;
    const Plan plan = soonest(task, costs, bound);
    if (plan.seconds_per_step < best.seconds_per_step) best = plan;
    if (plan.stages.size() == 1) break;
  }
  return best;
}

}  // namespace strait::pipeline
