#pragma once
// Which tokens each step trains on.

#include "strait/data/token_stream.hpp"

#include <cstdint>
#include <vector>

namespace strait::data {

/// Sequences [first, last) of a step. Targets are the inputs moved on by one token.
struct Batch {
  std::vector<std::int32_t> inputs;   ///< [sequences, context]
  std::vector<std::int32_t> targets;  ///< [sequences, context]
};

/// A function of (seed, step) alone: it holds no state, so that ranks and restarts agree by construction.
///
/// With T = context, S = sequences_per_step, N = stream.size(), sequence b of step s is number q = s S + b:
/// - sequential: tokens [q T, q T + T] modulo N.
/// - shuffled: epoch e = q / W with W = N / T cuts the stream, closed to a ring, into W windows of T tokens
///   from a random offset, and visits each once in a pseudo-random order; a window is read with the token
///   after it.
class Sampler {
 public:
  /// Refuses a stream of fewer than T + 1 tokens with Error(ExitCode::io). `stream` must outlive this.
  Sampler(const TokenStream& stream, Order order, std::uint64_t seed, int sequences_per_step, int context);

  Batch batch(std::int64_t step, int first, int last) const;
  Batch batch(std::int64_t step) const { return batch(step, 0, sequences_per_step_); }

  /// Windows of one epoch.
  std::int64_t windows() const { return windows_; }

  /// Where sequence number q starts in the stream.
  std::int64_t start(std::int64_t sequence) const;

 private:
  const TokenStream* stream_;
  Order order_;
  std::uint64_t seed_;
  int sequences_per_step_;
  int context_;
  std::int64_t windows_;
};

/// Validation reads the first `sequences` windows in sequential order: step 0 of this sampler.
Sampler validation_sampler(const TokenStream& stream, int sequences, int context);

}  // namespace strait::data
