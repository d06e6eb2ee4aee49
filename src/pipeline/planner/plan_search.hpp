#pragma once
// The dynamic programme over layers and ranks, level by level (SOSP'19, section 3.1), in two algebras:
// (min, max) finds the least bottleneck, (min, +) under that bound the least time of one micro-batch.
//
// A group of level k is the ranks that its links join. value[n][j] of a group: the best that layers i .. j -
// 1 can do on its first n components. The last run of layers, s .. j - 1, is replicated on the last m of
// them; what one component does with it is the same question one level below, where `multiplicity` says how
// many equal groups share the micro-batches. At level 0 it is a rank, and PlanCosts answers.

#include "plan_costs.hpp"

#include <map>
#include <memory>
#include <tuple>

namespace strait::pipeline {

/// The time of the busiest rank or link.
struct Bottleneck {
  static double join(double a, double b) { return a > b ? a : b; }
  /// A part of a plan that keeps a rank or a link busy for `busy` and a micro-batch for `pass`.
  static double part(double busy, double /*pass*/) { return busy; }
  /// At least what joins to a plan, where one micro-batch takes at least `pass` to get on.
  static double bound(double plan, double /*pass*/) { return plan; }
};

/// The time of one micro-batch.
struct Latency {
  static double join(double a, double b) { return a + b; }
  static double part(double /*busy*/, double pass) { return pass; }
  static double bound(double plan, double pass) { return (plan + pass) * (1.0 + 1e-13); }
};

/// Equal groups of ranks that hold the same layers.
struct PlanGroup {
  int level = 0;
  int multiplicity = 1;
  int ranks_behind = 0;       ///< in later stages
  std::vector<double> speed;  ///< one per rank of a group: of the slowest of the equal ranks; empty: all 1

  double speed_of(int rank) const { return speed.empty() ? 1.0 : speed[rank]; }
};

/// A stage as found.
struct PlanLeaf {
  int first = 0;
  int last = 0;  ///< one past the last layer
  int ranks_behind = 0;
  double speed = 1.0;  ///< of the slowest rank
  std::vector<int> ranks;
};

/// What a plan is made of, in the order of the layers.
struct PlanParts {
  struct Cut {
    int level, before_layer, multiplicity;
  };
  struct AllReduce {
    int level, components, multiplicity, first, last;
  };
  std::vector<PlanLeaf> leaves;
  std::vector<Cut> cuts;
  std::vector<AllReduce> all_reduces;
};

template <class Algebra>
class PlanSearch {
 public:
  /// Leaves out plans whose bottleneck is above `cap`, and takes no interest in values below `floor`.
  PlanSearch(const PlanCosts& costs, const Machine& machine, double cap, double floor = 0.0);

  /// Of the best plan; infinite where there is none.
  double value();
  /// The best plan, of which there is one.
  PlanParts trace();

 private:
  /// value(i, j) of layers i .. j - 1 on a whole group, for the i that were asked for.
  struct Table {
    std::vector<int> row_of;  ///< of start i; -1: not there
    std::vector<double> values;
    const double* row(int i, int columns) const { return &values[std::size_t(row_of[i]) * columns]; }
  };
  /// [components + 1][layers + 1]: components before the last run * (layers + 1) + its first layer.
  using Steps = std::vector<std::int32_t>;
  using Key = std::tuple<int, int, int, std::vector<double>>;

  PlanGroup machine_group() const;
  PlanGroup component(const PlanGroup& group, int before, int count) const;
  double capacity(const PlanGroup& group) const;
  int reach(const PlanGroup& group, int used) const;
  std::shared_ptr<Table> solve(const PlanGroup& group, const std::vector<int>& starts, int lowest);
  std::shared_ptr<Table> ranks_table(const PlanGroup& rank, const std::vector<int>& starts, int lowest);
  void fill(const PlanGroup& group, const std::vector<int>& starts, Table& table, Steps* steps);
  void trace(const PlanGroup& group, int first, int last, const std::vector<int>& origins, PlanParts& parts);
  double part(double busy, double pass) const;
  bool improves(int first, double so_far, const double* target, int begin, int end) const;
  bool is_whole(const PlanGroup& group) const { return group.level == levels_; }

  const PlanCosts& costs_;
  const Machine& machine_;
  double cap_;
  double floor_;
  int layers_;
  int levels_;
  std::vector<int> size_;    ///< ranks of a group of a level
  PlanCosts::Sums fastest_;  ///< of the fastest rank
  PlanCosts::Sums sums_;     ///< work space
  std::map<Key, std::shared_ptr<Table>> known_;
};

extern template class PlanSearch<Bottleneck>;
extern template class PlanSearch<Latency>;

}  // namespace strait::pipeline
