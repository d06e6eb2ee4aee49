#pragma once
// Ranks in one process: a message is one copy in memory, made when both the send and the receive are posted.

#include "strait/pipeline/transport.hpp"

#include <memory>
#include <vector>

namespace strait::pipeline {

/// The transports of `ranks` virtual ranks that one thread serves in turn. A wait, which would last for ever,
/// is a programming error. Copies run on `exec`, where the ranks compute too.
std::vector<std::unique_ptr<Transport>> loopback_transports(const ExecutionSpace& exec, int ranks,
                                                            int boundaries);

}  // namespace strait::pipeline
