#include "strait/pipeline/config.hpp"

#include "strait/pipeline/schedule.hpp"

#include <algorithm>
#include <functional>

namespace strait::pipeline {
namespace {

void read_replicas(const Table& table, PipelineConfig& config, const std::vector<int>& replicas) {
  if (replicas.size() > 1 && static_cast<int>(replicas.size()) != config.stages) {
    table.reject("replicas", fmt::format("lists {} stages, expected {}", replicas.size(), config.stages));
  }
  for (const int number : replicas) table.at_least("replicas", number, 1);
  const bool alike =
      std::adjacent_find(replicas.begin(), replicas.end(), std::not_equal_to()) == replicas.end();
  if (alike && replicas.front() == 1) return;
  if (!alike && config.weight_versions == "vertical-sync") {
    table.reject("replicas",
                 "differ between stages, expected the same for all with weight_versions = \"vertical-sync\": "
                 "stages that update their weights after different numbers of micro-batches have no version "
                 "in common");
  }
  if (!alike && config.chunks > 1) {
    table.reject("replicas", "differ between stages, expected the same for all with chunks > 1");
  }
  config.replicas = replicas.size() == 1 ? std::vector<int>(config.stages, replicas.front()) : replicas;
}

}  // namespace

PipelineConfig PipelineConfig::from_deck(Table table) {
  PipelineConfig config;
  config.stages = table.at_least("stages", table.optional("stages", 1, "runs of layers, one per rank"), 1);
  config.schedule =
      table.choice("schedule", {"gpipe", "1f1b", "interleaved", "zb-h1", "pipedream", "2bw"},
                   "order of forwards, backwards and updates; the last two never drain the pipeline");
  if (config.schedule == "pipedream") {
    config.weight_versions = table.choice("weight_versions", {"stash", "vertical-sync", "none"},
                                          "weights of a micro-batch (pipedream): those of its forward on "
                                          "each stage, one version on all stages, "
                                          "or the newest");
  } else if (table.has("weight_versions")) {
    table.reject("weight_versions",
                 fmt::format("is a key of schedule \"pipedream\"; \"{}\" has none such", config.schedule));
  }
  config.chunks = table.at_least(
      "chunks",
      table.optional("chunks", 1,
                     "runs of layers per stage: stage s of P has runs s, s + P, ... (interleaved)"),
      1);
  const std::vector<int> replicas = table.one_or_list(
      "replicas", 1, "ranks that share the micro-batches of a stage: of all stages, or one number for each");
  if (const auto split = table.automatic<std::vector<int>>(
          "split", "layers per run, first to last, or \"auto\": balanced by cost")) {
    config.split = *split;
  }
  const int emulated = table.at_least(
      "emulate_stages",
      table.optional("emulate_stages", 0, "P runs P stages on one rank, with their boundaries; 0: off"), 0);
  config.emulated = emulated > 0;
  if (config.emulated) config.stages = emulated;
  if (config.chunks > 1 && !takes_chunks(config.schedule)) {
    table.reject("chunks",
                 fmt::format("is {}, expected 1 with schedule \"{}\"", config.chunks, config.schedule));
  }
  if (config.chunks > 1 && config.stages == 1) {
    table.reject("chunks", fmt::format("is {}, expected 1 with one stage", config.chunks));
  }
  read_replicas(table, config, replicas);
  if (!config.split.empty() && static_cast<int>(config.split.size()) != config.virtual_stages()) {
    table.reject("split", fmt::format("lists {} runs of layers, expected {}", config.split.size(),
                                      config.virtual_stages()));
  }
  return config;
}

}  // namespace strait::pipeline
