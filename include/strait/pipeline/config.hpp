#pragma once
// How the model is cut and run: the [pipeline] table, and what an executor is built from.

#include "strait/model/config.hpp"
#include "strait/optim/optimizer.hpp"
#include "strait/pipeline/placement.hpp"
#include "strait/pipeline/profile.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace strait::pipeline {

/// Everything of [pipeline].
struct PipelineConfig {
  int stages = 1;
  std::string schedule;                   ///< gpipe, 1f1b, interleaved, zb-h1, pipedream or 2bw
  std::string weight_versions = "stash";  ///< of pipedream
  int chunks = 1;                         ///< runs of layers per stage
  std::vector<int> replicas;              ///< of each stage; empty: one of each
  std::vector<int> split;                 ///< layers per run; empty: balanced by cost
  bool emulated = false;                  ///< all stages on one rank, through the loopback transport

  Placement placement() const { return {stages, chunks, replicas}; }
  int ranks() const { return emulated ? 1 : placement().ranks(); }  ///< of MPI
  int virtual_stages() const { return stages * chunks; }

  /// Reads stages, schedule, weight_versions, chunks, replicas, split and emulate_stages, which replaces
  /// stages when it is not 0.
  static PipelineConfig from_deck(Table table);
};

/// One pipeline: the same on every rank.
struct PipelineSetup {
  model::LlamaConfig model;
  std::vector<model::StageSpan> spans;  ///< one per virtual stage
  std::string schedule = "gpipe";
  int chunks = 1;                         ///< virtual stages per rank
  std::vector<int> replicas = {};         ///< of each stage; empty: one of each
  std::string weight_versions = "stash";  ///< of pipedream: stash, vertical-sync or none
  std::int64_t steps = 0;                 ///< of the run; an asynchronous pipeline drains before the last
  int sequences = 1;                      ///< per micro-batch
  int micro_batches = 1;                  ///< per step
  bool recompute = false;                 ///< run each block's forward again in its backward
  bool bfloat16 = false;                  ///< stages keep weights and activations in it (model::StageOptions)
  bool stochastic_rounding = false;       ///< of weights, for bfloat16
  std::uint64_t seed = 1;
  optim::OptimizerConfig optimizer;
  /// Token table, blocks and head of another model with as many layers: the stages wait as long as these take
  /// instead of computing (TimedStage). Empty: they compute.
  std::vector<LayerProfile> timed_layers = {};

  int stages() const { return static_cast<int>(spans.size()); }  ///< virtual ones
  Placement placement() const { return {stages() / chunks, chunks, replicas}; }
  int ranks() const { return placement().ranks(); }
};

}  // namespace strait::pipeline
