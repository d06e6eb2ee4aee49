#pragma once
// Repeats a measurement until it has taken long enough.

#include "strait/core/timer.hpp"
#include "strait/pipeline/profiler.hpp"

namespace strait::pipeline {

/// Calls `measure` once for warm-up and then as often as `effort` says; `measure(false)` is the warm-up.
template <class Measure>
void repeat(const Effort& effort, Measure measure) {
  measure(false);
  const Stopwatch watch;
  for (int i = 0; i < effort.most && (i < effort.least || watch.seconds() < effort.seconds); ++i)
    measure(true);
}

}  // namespace strait::pipeline
