#pragma once
// Measures a profile with the code that trains: stages, codec ends, optimisers and transports.

#include "strait/pipeline/config.hpp"
#include "strait/pipeline/profile.hpp"
#include "strait/pipeline/transport.hpp"

#include <vector>

namespace strait::pipeline {

/// Median and quartiles, between neighbours where they fall there. `seconds` is not empty.
Timing summary(std::vector<double> seconds);

/// How long to measure: repetitions go on until both `seconds` and `least` are reached, but not past `most`.
struct Effort {
  double seconds = 4.0;  ///< of each part of a profile
  int least = 5;
  int most = 200;
};

/// Fills `profile.layers`, `blocks_measured` and `workspace_bytes` for micro-batches of random tokens. One
/// stage with the table, the head and a few of the blocks runs forwards and backwards; the time between two
/// layers is read where messages would move. The fused backward is what is timed. Its halves, which only
/// some schedules run apart, give its division.
template <class T>
void measure_layers(const ExecutionSpace& exec, const PipelineSetup& setup, const Effort& effort,
                    Profile& profile);

}  // namespace strait::pipeline
