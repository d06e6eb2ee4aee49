#pragma once
// The checks that need one rank's list only.

#include "strait/pipeline/schedule.hpp"

#include <vector>

namespace strait::pipeline::verifier_detail {

/// Walks through the list of `rank`: order, completeness, slots, gradient buffers, weight versions. Returns
/// the slots needed per chunk, or throws a Fault.
std::vector<int> check_rank(const Schedule& schedule, int rank);

}  // namespace strait::pipeline::verifier_detail
