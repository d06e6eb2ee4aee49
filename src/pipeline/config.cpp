#include "strait/pipeline/config.hpp"

namespace strait::pipeline {

PipelineConfig PipelineConfig::from_deck(Table table) {
  PipelineConfig config;
  config.stages = table.at_least("stages", table.optional("stages", 1, "runs of layers, one per rank"), 1);
  config.schedule = table.choice("schedule", {"gpipe", "1f1b"}, "order of forwards and backwards in a step");
  if (const auto split =
          table.automatic<std::vector<int>>("split", "layers per stage, or \"auto\": balanced by cost")) {
    config.split = *split;
  }
  const int emulated = table.at_least(
      "emulate_stages",
      table.optional("emulate_stages", 0, "P runs P stages on one rank, with their boundaries; 0: off"), 0);
  config.emulated = emulated > 0;
  if (config.emulated) config.stages = emulated;
  if (!config.split.empty() && static_cast<int>(config.split.size()) != config.stages) {
    table.reject("split", fmt::format("lists {} stages, expected {}", config.split.size(), config.stages));
  }
  return config;
}

}  // namespace strait::pipeline
