#pragma once
// The tables that belong to the run itself: [run] [training] [checkpoint] [output].

#include "strait/core/deck.hpp"

#include <cstdint>
#include <string>

namespace strait::app {

struct RunConfig {
  std::string name;
  std::uint64_t seed = 1;
  std::int64_t steps = 0;
  double time_limit = 0;  ///< seconds; 0 for none

  static RunConfig from_deck(Table table);
};

struct TrainingConfig {
  int sequences_per_step = 0;
  int micro_batch = 0;    ///< sequences
  std::string precision;  ///< float32, float64 or bfloat16
  bool stochastic_rounding = false;
  bool recompute = false;
  std::int64_t validation_interval = 0;  ///< steps; 0 for never
  int validation_sequences = 0;

  bool bfloat16() const { return precision == "bfloat16"; }
  int micro_batches() const { return sequences_per_step / micro_batch; }
  int validation_micro_batches() const { return validation_sequences / micro_batch; }

  static TrainingConfig from_deck(Table table);
};

struct CheckpointConfig {
  std::int64_t interval = 0;  ///< steps; 0: only at the end
  int keep = 3;

  static CheckpointConfig from_deck(Table table);
};

struct OutputConfig {
  std::string directory;
  std::int64_t log_interval = 10;
  std::int64_t trace_interval = 100;  ///< steps between traced steps
  int sample_tokens = 0;              ///< of generated text at the end
  std::string sample_prompt;
  double sample_temperature = 0.8;

  static OutputConfig from_deck(Table table);
};

}  // namespace strait::app
