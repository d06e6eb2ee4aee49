#pragma once
// The actions of a step as a Chrome trace (Trace Event Format), which Perfetto and chrome://tracing draw.

#include "strait/app/metrics.hpp"

#include <string>
#include <vector>

namespace strait::app {

/// What the actions are of.
struct TraceTitle {
  std::string run;
  std::string source;  ///< "measured" or "simulated"
  int ranks = 1;
};

/// One row per rank; an action is a slice by its name, with micro-batch and stage as arguments; the time that
/// it waited is a slice "wait" inside it. Replaces the file. Error(ExitCode::io).
void write_trace_file(const std::string& path, const TraceTitle& title,
                      const std::vector<TraceRecord>& records);

}  // namespace strait::app
