#pragma once
// Optimisers over named parameters in flat vectors; they know nothing of layers or ranks.

#include "strait/core/deck.hpp"
#include "strait/io/hdf5.hpp"
#include "strait/model/parameter_io.hpp"

#include <memory>
#include <string>
#include <vector>

namespace strait::optim {

struct UpdateInfo {
  std::int64_t step = 0;        ///< 0 for the first update
  double learning_rate = 0.0;   ///< of this step, schedule applied
  double gradient_scale = 1.0;  ///< factor on the gradients: of clipping, and to their mean
};

/// How late the gradients of a stage are in an asynchronous pipeline, counted in its updates. A synchronous
/// one has no delay.
struct StageDelay {
  int stage = 0;
  double updates = 0.0;  ///< tau: between the weights that a gradient is of and those that it updates
  double mean = 0.0;     ///< of tau over the stages
  int updates_per_step = 1;
};

template <class T>
class Optimizer {
 public:
  virtual ~Optimizer() = default;

  /// One update of `weights` from `gradients`, both flat vectors of the layout given at construction. `then`
  /// are the weights that the gradients are of, where the schedule has kept them and has moved on since;
  /// empty otherwise. Only delay compensation reads them.
  virtual void update(const ExecutionSpace& exec, const Vector<T>& weights, ConstVector<T> gradients,
                      const UpdateInfo& info, ConstVector<T> then = {}) = 0;

  virtual std::int64_t state_bytes() const = 0;

  /// State by parameter name, so that it can be read back on other cuts.
  virtual void save(const ExecutionSpace& exec, io::Group group) const = 0;
  /// `stored_name` says under which parameter's name the state of each lies; what it leaves out starts anew.
  virtual void load(const ExecutionSpace& exec, const io::Group& group,
                    const model::StoredName& stored_name = model::own_name) = 0;
};

/// Everything of [optimizer].
struct OptimizerConfig {
  std::string name;
  double learning_rate, beta1, beta2, epsilon, weight_decay;
  double clip;  ///< largest global gradient norm; <= 0 turns clipping off
  std::int64_t warmup_steps;
  std::string decay;      ///< cosine, linear or constant
  double final_fraction;  ///< of learning_rate, at the last step
  /// Of muon alone.
  double momentum = 0.95;
  bool nesterov = true;
  double matrix_fraction = 1.0;  ///< rate of hidden matrices / learning_rate
  double vector_fraction = 0.5;  ///< rate of everything else / learning_rate
  /// Of basis-rotation, `refresh` of soap too.
  std::string source = "second";  ///< of the bases: second moments, or first (the gradients' running mean)
  bool two_sided = true;          ///< bases on both sides of a matrix, or on the shorter one
  std::int64_t refresh = 10;      ///< updates between refreshes of a basis
  std::vector<int> stage_refresh = {};  ///< the same, stage by stage; empty: from the stages' delays
  bool stagger = true;                  ///< refresh a stage's matrices in different updates
  /// Of asynchronous schedules.
  bool lr_delay_correction = false;
  std::int64_t lr_delay_steps = 0;  ///< over which the correction fades
  double delay_compensation = 0.0;  ///< lambda; 0 turns it off

  static OptimizerConfig from_deck(Table table);

  /// Learning rate of step `step` (0-based) of `steps`: linear warm-up from learning_rate / warmup_steps,
  /// then decay.
  double rate_at(std::int64_t step, std::int64_t steps) const { return rate_at(step, steps, 0, 1); }
  /// The same for update `update` of the `updates` of a step, over which it goes on.
  double rate_at(std::int64_t step, std::int64_t steps, int update, int updates) const;

  /// Factor on the gradients for their global norm.
  double clip_factor(double gradient_norm) const;

  /// Factor on the learning rate of step `step` for gradients that are `delay` updates old: tau^-(1 - min(t /
  /// K, 1)) with K = lr_delay_steps (PipeMare, Yang et al., arXiv 1910.05124). 1 without lr_delay_correction
  /// and for a delay below 1.
  double delay_factor(double delay, std::int64_t step) const;

  /// Updates between refreshes of basis-rotation's bases in a stage: of stage_refresh if that is given. Else
  /// stale stages refresh earlier at the same total cost, f mean / tau, rounded, from 1 to 10 f; 10 f where
  /// tau = 0, and f where no stage has a delay.
  std::int64_t refresh_interval(const StageDelay& delay) const;
};

template <class T>
std::unique_ptr<Optimizer<T>> make_optimizer(const OptimizerConfig& config,
                                             const model::ParameterLayout& layout,
                                             const StageDelay& delay = {});

/// state_bytes() of the optimiser that make_optimizer would make, without making it.
template <class T>
std::int64_t state_bytes_needed(const OptimizerConfig& config, const model::ParameterLayout& layout,
                                const StageDelay& delay = {});

}  // namespace strait::optim
