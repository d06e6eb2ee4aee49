#pragma once
// Everything that a deck says, read component by component.

#include "strait/app/run_config.hpp"
#include "strait/data/config.hpp"
#include "strait/optim/optimizer.hpp"
#include "strait/pipeline/config.hpp"
#include "strait/pipeline/network.hpp"

namespace strait::app {

struct Settings {
  RunConfig run;
  model::LlamaConfig model;
  data::DataConfig data;
  TrainingConfig training;
  optim::OptimizerConfig optimizer;
  pipeline::PipelineConfig pipeline;
  pipeline::NetworkConfig network;
  std::string profile;  ///< file that split = "auto" balances the stages by; empty: by FLOPs
  CheckpointConfig checkpoint;
  OutputConfig output;

  /// All tables but [codec], which is read by the precision that it works in.
  static Settings from_deck(const Deck& deck);

  /// What the executors are built from; splits the layers.
  pipeline::PipelineSetup pipeline_setup() const;

  /// That ranks are joined by: the emulated one, else that of `profile`.
  pipeline::LinkProfile link(const pipeline::Profile& profile) const {
    return network.emulated() ? network.link() : profile.link;
  }

  std::int64_t tokens_per_step() const {
    return static_cast<std::int64_t>(training.sequences_per_step) * model.context;
  }
};

}  // namespace strait::app
