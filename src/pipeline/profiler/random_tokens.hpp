#pragma once
// Tokens to measure with.

#include "strait/core/host_mirror.hpp"
#include "strait/core/random.hpp"

namespace strait::pipeline {

/// Fills `ids` with uniform tokens of [0, vocab).
inline void random_tokens(const ExecutionSpace& exec, const MutableTokenIds& ids, int vocab,
                          std::uint64_t stream) {
  const Philox random(1, stream);
  auto host = host_like(ids);
  for (std::size_t i = 0; i < host.extent(0); ++i) {
    host(i) = static_cast<std::int32_t>(random.uniform(i) * vocab);
  }
  to_device(exec, ids, host);
}

}  // namespace strait::pipeline
