#include "adamw.hpp"
#include "muon.hpp"

namespace strait::optim {

template <class T>
std::unique_ptr<Optimizer<T>> make_optimizer(const OptimizerConfig& config,
                                             const model::ParameterLayout& layout) {
  if (config.name == "muon") return std::make_unique<Muon<T>>(config, layout);
  ensure(config.name == "adamw", "an optimiser that the deck would have refused");
  return std::make_unique<AdamW<T>>(config, layout);
}

template <class T>
std::int64_t state_bytes_needed(const OptimizerConfig& config, const model::ParameterLayout& layout) {
  if (config.name == "muon") return Muon<T>::state_bytes_needed(layout);
  ensure(config.name == "adamw", "an optimiser that the deck would have refused");
  return AdamW<T>::state_bytes_needed(layout);
}

template std::int64_t state_bytes_needed<float>(const OptimizerConfig&, const model::ParameterLayout&);
template std::int64_t state_bytes_needed<double>(const OptimizerConfig&, const model::ParameterLayout&);

template std::unique_ptr<Optimizer<float>> make_optimizer(const OptimizerConfig&,
                                                          const model::ParameterLayout&);
template std::unique_ptr<Optimizer<double>> make_optimizer(const OptimizerConfig&,
                                                           const model::ParameterLayout&);

}  // namespace strait::optim
