#include "strait/app/settings.hpp"

#include "strait/app/plan_task.hpp"
#include "strait/data/tokenizer.hpp"
#include "strait/pipeline/asynchronous.hpp"

#include <fmt/ranges.h>

#include <algorithm>

namespace strait::app {

namespace {

/// What the rest of a deck must be for updates that do not wait for the pipeline to drain.
void check_asynchronous(const Deck& deck, const Settings& settings) {
  const auto& pipeline = settings.pipeline;
  const auto& training = settings.training;
  if (settings.model.tie_embeddings) {
    deck.table("model").reject(
        "tie_embeddings",
        fmt::format(
            "is true, expected false with pipeline.schedule = \"{}\": the two copies of the table would "
            "be updated from gradients of different ages",
            pipeline.schedule));
  }
  const auto reject = [&](const std::string& expected) {
    deck.table("training")
        .reject("sequences_per_step",
                fmt::format("is {}, expected {}", training.sequences_per_step, expected));
  };
  const std::string shape =
      pipeline.replicas.empty() ? "" : fmt::format(" and replicas {}", fmt::join(pipeline.replicas, "-"));
  const int whole = pipeline::pipedream_micro_batches(pipeline.replicas);
  if (pipeline.schedule == "pipedream" && training.micro_batches() != whole) {
    reject(whole == 1
               ? fmt::format("micro_batch = {} with pipeline.schedule = \"pipedream\", which updates the "
                             "weights after every micro-batch",
                             training.micro_batch)
               : fmt::format("{} x micro_batch = {} with pipeline.schedule = \"pipedream\"{}: the fewest "
                             "micro-batches that are whole updates of every stage",
                             whole, whole * training.micro_batch, shape));
  }
  if (pipeline.schedule != "2bw") return;
  const int least = pipeline.placement().ranks();
  if (training.micro_batches() < least || training.micro_batches() % whole != 0) {
    const std::string multiple = whole == 1 ? "" : fmt::format(" and a multiple of {}", whole);
    reject(
        fmt::format("at least {} micro-batches of {} sequences, as many as ranks,{} with "
                    "pipeline.schedule = \"2bw\"{}",
                    least, training.micro_batch, multiple, shape));
  }
}

void check_replicas(const Deck& deck, const Settings& settings) {
  const auto& replicas = settings.pipeline.replicas;
  if (replicas.empty()) return;
  const int most = *std::max_element(replicas.begin(), replicas.end());
  if (most > settings.training.micro_batches()) {
    deck.table("pipeline")
        .reject("replicas", fmt::format("of a stage are {}, expected at most {}, the micro-batches of a step",
                                        most, settings.training.micro_batches()));
  }
  if (settings.model.tie_embeddings && replicas.front() != replicas.back()) {
    deck.table("pipeline")
        .reject("replicas",
                fmt::format(
                    "of the first and last stage are {} and {}, expected the same with model.tie_embeddings",
                    replicas.front(), replicas.back()));
  }
}

void check_delay_compensation(const Deck& deck, const Settings& settings) {
  const pipeline::PipelineConfig& pipeline = settings.pipeline;
  const auto reject = [&](const std::string& reason) {
    deck.table("optimizer")
        .reject("delay_compensation",
                fmt::format("is {}, expected 0 with {}", settings.optimizer.delay_compensation, reason));
  };
  if (pipeline::synchronous(pipeline.schedule)) {
    reject(fmt::format("pipeline.schedule = \"{}\", whose gradients are of the present weights",
                       pipeline.schedule));
  }
  if (settings.training.bfloat16()) {
    reject(
        "training.precision = \"bfloat16\", which keeps earlier weights rounded: their rounding would be "
        "taken for a change");
  }
  if (pipeline.schedule == "pipedream" && pipeline.weight_versions == "none") {
    reject("pipeline.weight_versions = \"none\", which keeps no earlier weights");
  }
}

}  // namespace

Settings Settings::from_deck(const Deck& deck) {
  Settings settings;
  settings.run = RunConfig::from_deck(deck.table("run"));
  settings.model = model::LlamaConfig::from_deck(deck.table("model"));
  settings.data = data::DataConfig::from_deck(deck.table("data"));
  settings.training = TrainingConfig::from_deck(deck.table("training"));
  settings.optimizer = optim::OptimizerConfig::from_deck(deck.table("optimizer"));
  settings.pipeline = pipeline::PipelineConfig::from_deck(deck.table("pipeline"));
  settings.network = pipeline::NetworkConfig::from_deck(deck.table("network"));
  if (settings.network.emulated() && settings.pipeline.emulated) {
    deck.table("network").reject(
        "bandwidth", "is given, expected 0 with pipeline.emulate_stages, whose messages cross no link");
  }
  settings.profile =
      deck.table("pipeline")
          .optional("profile", "",
                    "file of strait profile that split = \"auto\" balances the stages by; empty: by FLOPs");
  settings.checkpoint = CheckpointConfig::from_deck(deck.table("checkpoint"));
  settings.output = OutputConfig::from_deck(deck.table("output"));

  const auto intervals = settings.optimizer.stage_refresh.size();
  if (intervals > 0 && intervals != static_cast<std::size_t>(settings.pipeline.stages)) {
    deck.table("optimizer")
        .reject("stage_refresh", fmt::format("has {} intervals, expected {}: one for each stage", intervals,
                                             settings.pipeline.stages));
  }
  if (settings.optimizer.delay_compensation > 0.0) check_delay_compensation(deck, settings);
  const auto training = deck.table("training");
  if (settings.training.validation_interval > 0 && settings.data.validation.empty()) {
    training.reject("validation_interval",
                    fmt::format("is {}, expected 0 where data.validation names no file",
                                settings.training.validation_interval));
  }
  if (!pipeline::synchronous(settings.pipeline.schedule)) check_asynchronous(deck, settings);
  check_replicas(deck, settings);
  if (settings.output.sample_tokens > 0) {
    const auto vocabulary = data::make_tokenizer(settings.data.tokenizer)->vocabulary();
    if (vocabulary > settings.model.vocab) {
      deck.table("output").reject(
          "sample_tokens",
          fmt::format("is {}, expected 0 where the tokenizer has {} ids and model.vocab is {}",
                      settings.output.sample_tokens, vocabulary, settings.model.vocab));
    }
  }
  return settings;
}

pipeline::PipelineSetup Settings::pipeline_setup() const {
  if (pipeline.chunks > 1 && pipeline.virtual_stages() > model.layers) {
    fail(ExitCode::deck, "[pipeline] chunks: {} stages of {} runs need {} layers, [model] layers is {}",
         pipeline.stages, pipeline.chunks, pipeline.virtual_stages(), model.layers);
  }
  pipeline::PipelineSetup setup;
  setup.model = model;
  const bool by_profile = pipeline.split.empty() && !profile.empty();
  setup.spans =
      model::split_layers(model, pipeline.virtual_stages(),
                          by_profile ? profiled_split(*this, read_profile(profile, *this)) : pipeline.split);
  setup.schedule = pipeline.schedule;
  setup.chunks = pipeline.chunks;
  setup.replicas = pipeline.replicas;
  setup.weight_versions = pipeline.weight_versions;
  setup.steps = run.steps;
  setup.sequences = training.micro_batch;
  setup.micro_batches = training.micro_batches();
  setup.recompute = training.recompute;
  setup.bfloat16 = training.bfloat16();
  setup.stochastic_rounding = training.stochastic_rounding;
  setup.seed = run.seed;
  setup.optimizer = optimizer;
  return setup;
}

}  // namespace strait::app
