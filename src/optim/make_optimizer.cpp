#include "adamw.hpp"
#include "basis_rotation.hpp"
#include "delayed.hpp"
#include "muon.hpp"
#include "soap.hpp"

#include <utility>

namespace strait::optim {
namespace {

template <class T>
std::unique_ptr<Optimizer<T>> make_undelayed(const OptimizerConfig& config,
                                             const model::ParameterLayout& layout, const StageDelay& delay) {
  if (config.name == "muon") return std::make_unique<Muon<T>>(config, layout);
  if (config.name == "basis-rotation") return std::make_unique<BasisRotation<T>>(config, layout, delay);
  if (config.name == "soap") return std::make_unique<Soap<T>>(config, layout);
  ensure(config.name == "adamw" || config.name == "nadam", "an optimiser that the deck would have refused");
  return std::make_unique<AdamW<T>>(config, layout);
}

template <class T>
std::int64_t undelayed_state_bytes(const OptimizerConfig& config, const model::ParameterLayout& layout) {
  if (config.name == "muon") return Muon<T>::state_bytes_needed(layout);
  if (config.name == "basis-rotation") return BasisRotation<T>::state_bytes_needed(config, layout);
  if (config.name == "soap") return Soap<T>::state_bytes_needed(layout);
  return AdamW<T>::state_bytes_needed(layout);
}

}  // namespace

template <class T>
std::unique_ptr<Optimizer<T>> make_optimizer(const OptimizerConfig& config,
                                             const model::ParameterLayout& layout, const StageDelay& delay) {
  auto optimizer = make_undelayed<T>(config, layout, delay);
  if (!Delayed<T>::is_needed(config, delay)) return optimizer;
  return std::make_unique<Delayed<T>>(std::move(optimizer), config, layout, delay);
}

template <class T>
std::int64_t state_bytes_needed(const OptimizerConfig& config, const model::ParameterLayout& layout,
                                const StageDelay& delay) {
  return undelayed_state_bytes<T>(config, layout) + Delayed<T>::state_bytes_needed(config, layout, delay);
}

#define STRAIT_INSTANTIATE(T)                                                                        \
  template std::unique_ptr<Optimizer<T>> make_optimizer<T>(                                          \
      const OptimizerConfig&, const model::ParameterLayout&, const StageDelay&);                     \
  template std::int64_t state_bytes_needed<T>(const OptimizerConfig&, const model::ParameterLayout&, \
                                              const StageDelay&);
STRAIT_INSTANTIATE(float)
STRAIT_INSTANTIATE(double)
#undef STRAIT_INSTANTIATE

}  // namespace strait::optim
