#include "plan_search.hpp"

#include <algorithm>
#include <limits>
#include <numeric>

namespace strait::pipeline {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double slack = 1.0 + 1e-9;     // of bounds on sums, against rounding
constexpr std::size_t most_known = 256;  // tables; a table has at most (layers + 1)^2 numbers

template <class Algebra>
void relax(double* target, const double* stage, double before, int begin, int end) {
  for (int j = begin; j < end; ++j) {
    const double value = Algebra::join(before, stage[j]);
    target[j] = value < target[j] ? value : target[j];
  }
}

template <class Algebra>
void relax(double* target, std::int32_t* from, std::int32_t state, const double* stage, double before,
           int begin, int end) {
  for (int j = begin; j < end; ++j) {
    const double value = Algebra::join(before, stage[j]);
    if (value >= target[j]) continue;
    target[j] = value;
    from[j] = state;
  }
}

double fastest(const Machine& machine) {
  return machine.speed.empty() ? 1.0 : *std::max_element(machine.speed.begin(), machine.speed.end());
}

}  // namespace

template <class Algebra>
PlanSearch<Algebra>::PlanSearch(const PlanCosts& costs, const Machine& machine, double cap, double floor)
    : costs_(costs),
      machine_(machine),
      cap_(cap),
      floor_(floor),
      layers_(costs.layers()),
      levels_(static_cast<int>(machine.levels.size())),
      size_(1, 1),
      fastest_(),
      sums_() {
  costs.sums(costs.seat(1, 0, fastest(machine)), fastest_);
  for (const MachineLevel& level : machine.levels) size_.push_back(size_.back() * level.components);
}

template <class Algebra>
double PlanSearch<Algebra>::part(double busy, double pass) const {
  return busy <= cap_ ? Algebra::part(busy, pass) : infinity;
}

/// The group of components before .. before + count - 1 of a group, as replicas.
template <class Algebra>
PlanGroup PlanSearch<Algebra>::component(const PlanGroup& group, int before, int count) const {
  const int size = size_[group.level - 1];
  const int behind = machine_.levels[group.level - 1].components - before - count;
  PlanGroup out{.level = group.level - 1,
                .multiplicity = group.multiplicity * count,
                .ranks_behind = group.ranks_behind + group.multiplicity * size * behind,
                .speed = {}};
  if (group.speed.empty()) return out;
  const auto begin = group.speed.begin() + std::ptrdiff_t(before) * size;
  out.speed.assign(begin, begin + size);
  for (int c = 1; c < count; ++c) {
    for (int r = 0; r < size; ++r) out.speed[r] = std::min(out.speed[r], begin[std::ptrdiff_t(c) * size + r]);
  }
  return out;
}

/// Seconds of work on a rank of speed 1 that the equal groups can do together in a second.
template <class Algebra>
double PlanSearch<Algebra>::capacity(const PlanGroup& group) const {
  const double one =
      group.speed.empty() ? size_[group.level] : std::accumulate(group.speed.begin(), group.speed.end(), 0.0);
  return group.multiplicity * one;
}

/// `lowest`: the first column that is wanted, where a table is for this call alone.
template <class Algebra>
auto PlanSearch<Algebra>::ranks_table(const PlanGroup& rank, const std::vector<int>& starts, int lowest)
    -> std::shared_ptr<Table> {
  const int columns = layers_ + 1;
  auto table = std::make_shared<Table>();
  table->row_of.assign(columns, -1);
  table->values.assign(starts.size() * columns, infinity);
  const auto seat = costs_.seat(rank.multiplicity, rank.ranks_behind, rank.speed_of(0));
  auto& sums = sums_;
  costs_.sums(seat, sums);
  const auto& compute = costs_.compute_before();
  const double memory = costs_.memory();
  const double cap = cap_;
  for (std::size_t row = 0; row < starts.size(); ++row) {
    const int i = starts[row];
    table->row_of[i] = static_cast<int>(row);
    double* values = &table->values[row * columns];
    // No run is longer than what the ranks can compute within the cap.
    const double bound = compute[i] + cap_ * capacity(rank) * slack;
    const int end = std::upper_bound(compute.begin() + i, compute.end(), bound) - compute.begin();
    const double busy_begin = sums.busy_begin[i], pass_begin = sums.pass_begin[i], kept = sums.kept[i];
    const double *const busy_end = sums.busy_end.data(), *const pass_end = sums.pass_end.data();
    const double* const kept_end = sums.kept.data();
    for (int j = std::max(i + 1, lowest); j < end; ++j) {
      const double busy = busy_begin + busy_end[j];
      const double value = Algebra::part(busy, pass_begin + pass_end[j]);
      values[j] = busy <= cap && kept_end[j] - kept <= memory ? value : infinity;
    }
  }
  return table;
}

template <class Algebra>
auto PlanSearch<Algebra>::solve(const PlanGroup& group, const std::vector<int>& starts, int lowest)
    -> std::shared_ptr<Table> {
  if (group.level == 0) return ranks_table(group, starts, lowest);
  if (known_.size() >= most_known) known_.clear();
  auto& known = known_[{group.level, group.multiplicity, costs_.felt(group.ranks_behind), group.speed}];
  if (!known) {
    known = std::make_shared<Table>();
    known->row_of.assign(layers_ + 1, -1);
  }
  std::vector<int> missing;
  for (const int i : starts) {
    if (known->row_of[i] < 0) missing.push_back(i);
  }
  const auto table = known;  // the solves below may forget it
  if (!missing.empty()) fill(group, missing, *table, nullptr);
  return table;
}

/// Where layers must have got to with the components behind `used` left, if these are to compute the rest
/// within the cap.
template <class Algebra>
int PlanSearch<Algebra>::reach(const PlanGroup& group, int used) const {
  const int components = machine_.levels[group.level - 1].components;
  if (!is_whole(group)) return 1;
  if (used == components) return layers_;
  const std::ptrdiff_t ranks = std::ptrdiff_t(used) * size_[group.level - 1];
  const double left = group.speed.empty()
                          ? static_cast<double>(size_[group.level] - ranks)
                          : std::accumulate(group.speed.begin() + ranks, group.speed.end(), 0.0);
  const auto& compute = costs_.compute_before();
  const double bound = compute.back() - cap_ * left * slack;
  return static_cast<int>(std::lower_bound(compute.begin(), compute.end(), bound) - compute.begin());
}

/// Whether a run that begins at `first`, behind what takes `so_far`, can better any target.
template <class Algebra>
bool PlanSearch<Algebra>::improves(int first, double so_far, const double* target, int begin, int end) const {
  if (!(so_far < infinity)) return false;
  const double* const pass_end = fastest_.pass_end.data();
  const double pass_begin = fastest_.pass_begin[first];
  int better = 0;
  for (int j = begin; j < end; ++j) {
    better |= Algebra::bound(so_far, pass_begin + pass_end[j]) < target[j];
  }
  return better != 0;
}

/// Adds rows to `table`, and says how their values came about where `steps` is given, for one start.
template <class Algebra>
void PlanSearch<Algebra>::fill(const PlanGroup& group, const std::vector<int>& starts, Table& table,
                               Steps* steps) {
  const int columns = layers_ + 1;
  const int link = group.level - 1;
  const int components = machine_.levels[link].components;
  const std::size_t plane = starts.size() * columns;
  std::vector<double> value((components + 1) * plane, infinity);
  for (std::size_t row = 0; row < starts.size(); ++row) value[row * columns + starts[row]] = floor_;
  if (steps) steps->assign(value.size(), -1);

  std::vector<double> entry(columns, 0.0);
  std::vector<double> stage(columns);
  for (int before = 0; before < components; ++before) {
    const double* const states = &value[before * plane];
    std::vector<int> cuts;  // where the runs so far may end
    for (int s = 0; s < layers_; ++s) {
      if (before > 0) {
        entry[s] = part(costs_.transfer(link, s, group.multiplicity), costs_.crossing(link, s));
      }
      bool reached = false;
      for (std::size_t i = s; i < plane && !reached; i += columns) reached = states[i] < infinity;
      if (reached && entry[s] < infinity) cuts.push_back(s);
    }
    if (cuts.empty()) continue;
    for (int count = 1; before + count <= components; ++count) {
      const int used = before + count;
      const int lowest = reach(group, used);
      const int end = used == components ? columns : layers_;  // later components need a layer
      double* const targets = &value[used * plane];
      std::vector<int> begins;
      for (const int s : cuts) {
        bool useful = false;
        for (std::size_t row = 0; row < plane && !useful; row += columns) {
          const double so_far = Algebra::join(states[row + s], entry[s]);
          useful = improves(s, so_far, &targets[row], std::max(s + 1, lowest), end);
        }
        if (useful) begins.push_back(s);
      }
      if (begins.empty()) continue;
      const PlanGroup run = component(group, before, count);
      const auto inner = solve(run, begins, lowest);
      const auto ring = costs_.ring(link, count, run.multiplicity);
      for (const int s : begins) {
        const double* const alone = inner->row(s, columns);
        const int begin = std::max(s + 1, lowest);
        for (int j = begin; j < end; ++j) {
          const double together = ring.fixed + ring.per_byte * costs_.weights(s, j);
          stage[j] = Algebra::join(alone[j], part(together, 0.0));
        }
        for (std::size_t row = 0; row < plane; row += columns) {
          const double so_far = Algebra::join(states[row + s], entry[s]);
          if (!(so_far < infinity)) continue;
          if (steps) {
            relax<Algebra>(&targets[row], &(*steps)[used * plane + row], before * columns + s, stage.data(),
                           so_far, begin, end);
          } else {
            relax<Algebra>(&targets[row], stage.data(), so_far, begin, end);
          }
        }
      }
    }
  }
  const int rows = static_cast<int>(table.values.size() / columns);
  table.values.insert(table.values.end(), value.end() - std::ptrdiff_t(plane), value.end());
  for (std::size_t i = 0; i < starts.size(); ++i) table.row_of[starts[i]] = rows + static_cast<int>(i);
}

template <class Algebra>
PlanGroup PlanSearch<Algebra>::machine_group() const {
  return {.level = levels_, .multiplicity = 1, .ranks_behind = 0, .speed = machine_.speed};
}

template <class Algebra>
double PlanSearch<Algebra>::value() {
  return solve(machine_group(), {0}, layers_)->row(0, layers_ + 1)[layers_];
}

template <class Algebra>
PlanParts PlanSearch<Algebra>::trace() {
  PlanParts parts;
  trace(machine_group(), 0, layers_, {0}, parts);
  return parts;
}

/// `origins`: the first rank of each of the equal groups.
template <class Algebra>
void PlanSearch<Algebra>::trace(const PlanGroup& group, int first, int last, const std::vector<int>& origins,
                                PlanParts& parts) {
  if (group.level == 0) {
    parts.leaves.push_back({first, last, group.ranks_behind, group.speed_of(0), origins});
    return;
  }
  const int columns = layers_ + 1;
  Table table{.row_of = std::vector<int>(columns, -1), .values = {}};
  Steps steps;
  fill(group, {first}, table, &steps);

  struct Run {
    int before, used, first, last;
  };
  std::vector<Run> runs;
  const int link = group.level - 1;
  for (Run run{0, machine_.levels[link].components, 0, last}; run.used > 0;) {
    const std::int32_t from = steps[std::size_t(run.used) * columns + run.last];
    ensure(from >= 0, "a plan that was found can be traced");
    run.before = from / columns;
    run.first = from % columns;
    runs.insert(runs.begin(), run);
    run = {0, run.before, 0, run.first};
  }
  for (const Run& run : runs) {
    const int count = run.used - run.before;
    const PlanGroup inner = component(group, run.before, count);
    if (run.before > 0) parts.cuts.push_back({link, run.first, group.multiplicity});
    if (count > 1) parts.all_reduces.push_back({link, count, inner.multiplicity, run.first, run.last});
    std::vector<int> inner_origins;
    for (const int origin : origins) {
      for (int c = run.before; c < run.used; ++c) inner_origins.push_back(origin + c * size_[link]);
    }
    trace(inner, run.first, run.last, inner_origins, parts);
  }
}

template class PlanSearch<Bottleneck>;
template class PlanSearch<Latency>;

}  // namespace strait::pipeline
