#pragma once
// How the checks of a schedule report.

#include "strait/core/error.hpp"
#include "strait/pipeline/schedule.hpp"

#include <string>

namespace strait::pipeline::verifier_detail {

/// Thrown by a check.
struct Fault {
  std::string text;
};

inline std::string describe(int rank, const Action& action) {
  std::string text = fmt::format("rank {}: {}", rank, name(action.kind));
  if (action.micro_batch >= 0) text += fmt::format(" of micro-batch {}", action.micro_batch);
  if (action.boundary >= 0) text += fmt::format(" at boundary {}", action.boundary);
  return text;
}

inline void require(bool condition, int rank, const Action& action, const char* what) {
  if (!condition) throw Fault{fmt::format("{}: {}", describe(rank, action), what)};
}

}  // namespace strait::pipeline::verifier_detail
