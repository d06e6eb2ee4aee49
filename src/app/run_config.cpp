#include "strait/app/run_config.hpp"

namespace strait::app {

RunConfig RunConfig::from_deck(Table table) {
  RunConfig run;
  run.name = table.required<std::string>("name", "names the run in its output");
  run.seed = static_cast<std::uint64_t>(table.at_least(
      "seed", table.optional<std::int64_t>("seed", 1, "of initial weights, data order and samples"), 0));
  run.steps = table.at_least("steps", table.required<std::int64_t>("steps", "optimiser updates"), 0);
  run.time_limit = table.at_least(
      "time_limit",
      table.optional<double>("time_limit", 0.0,
                             "seconds after which the run stops with a checkpoint and exit code 75; 0: none"),
      0.0);
  return run;
}

TrainingConfig TrainingConfig::from_deck(Table table) {
  TrainingConfig training;
  training.sequences_per_step =
      table.at_least("sequences_per_step",
                     table.required<int>("sequences_per_step", "sequences of one optimiser update"), 1);
  training.micro_batch = table.at_least(
      "micro_batch", table.required<int>("micro_batch", "sequences that pass through the pipeline together"),
      1);
  if (training.sequences_per_step % training.micro_batch != 0) {
    table.reject("micro_batch", fmt::format("is {}, expected a divisor of sequences_per_step = {}",
                                            training.micro_batch, training.sequences_per_step));
  }
  training.precision =
      table.choice("precision", {"float32", "float64", "bfloat16"},
                   "of weights, activations and optimiser; bfloat16 is that of activations and of a copy of "
                   "the weights that the layers read, all else stays float32");
  training.stochastic_rounding =
      table.optional<bool>("stochastic_rounding", false,
                           "round the copy of the weights up or down at random, with the mean kept, instead "
                           "of to nearest; with precision = \"bfloat16\" alone");
  if (training.stochastic_rounding && !training.bfloat16()) {
    table.reject("stochastic_rounding",
                 fmt::format("is true, expected false with precision = \"{}\": nothing is rounded",
                             training.precision));
  }
  training.recompute = table.optional<bool>(
      "recompute", false, "keep only each block's input and run the block again in the backward pass");
  training.validation_interval = table.at_least(
      "validation_interval",
      table.optional<std::int64_t>("validation_interval", 0,
                                   "steps between validations; 0: none, otherwise also after the last step"),
      0);
  training.validation_sequences =
      table.at_least("validation_sequences",
                     table.optional<int>("validation_sequences", training.micro_batch,
                                         "sequences of a validation, a multiple of micro_batch"),
                     1);
  if (training.validation_sequences % training.micro_batch != 0) {
    table.reject("validation_sequences", fmt::format("is {}, expected a multiple of micro_batch = {}",
                                                     training.validation_sequences, training.micro_batch));
  }
  return training;
}

CheckpointConfig CheckpointConfig::from_deck(Table table) {
  CheckpointConfig checkpoint;
  checkpoint.interval = table.at_least(
      "interval",
      table.optional<std::int64_t>("interval", 0,
                                   "steps between checkpoints, the first before step 0; 0: only at the end"),
      0);
  checkpoint.keep =
      table.at_least("keep", table.optional<int>("keep", 3, "newest checkpoints that are kept"), 1);
  return checkpoint;
}

OutputConfig OutputConfig::from_deck(Table table) {
  OutputConfig output;
  output.directory = table.optional("directory", "output", "where metrics.h5 and checkpoints/ go");
  output.log_interval = table.at_least(
      "log_interval", table.optional<std::int64_t>("log_interval", 10, "steps between console lines"), 1);
  output.trace_interval = table.at_least(
      "trace_interval",
      table.optional<std::int64_t>("trace_interval", 100, "steps between steps whose actions are recorded"),
      1);
  output.sample_tokens = table.at_least(
      "sample_tokens",
      table.optional<int>("sample_tokens", 0, "tokens of text generated after the last step"), 0);
  output.sample_prompt = table.optional(
      "sample_prompt", "", "text that the sample continues; empty: from the end-of-document token");
  output.sample_temperature = table.at_least(
      "sample_temperature",
      table.optional<double>("sample_temperature", 0.8, "of the sample's softmax; 0: the likeliest token"),
      0.0);
  return output;
}

}  // namespace strait::app
