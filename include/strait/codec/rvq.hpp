#pragma once
// Residual vector quantisation of what crosses a boundary (MAPL + RVQ, arXiv 2606.05484; the codebooks are
// EnCodec's, arXiv 2210.13438). A token's numbers are cut into groups of columns; each group travels as the
// indices of `rounds` codewords, each the nearest to what the rounds before have left.
//
// Codebooks are streamed: who encodes owns the master and updates it by moving averages; every training
// micro-batch's message carries the next codewords of every round, which both ends copy before it is
// quantised and decoded. So both ends hold the same bits at every micro-batch, whatever is in flight. The
// first message carries all codewords, from k-means on its micro-batch.

#include "strait/codec/wire.hpp"
#include "strait/kernels/vector_quantisation.hpp"

#include <optional>

namespace strait::codec {

/// How gradients of quantised activations come back.
enum class GradientFormat { bfloat16, int8, rvq };

struct RvqOptions {
  int groups = 1;
  int rounds = 1;
  int codewords = 2;        ///< of a group and round, 2 to 65,536
  int published = 1;        ///< codewords of each group and round in a micro-batch's message
  double decay = 0.99;      ///< of the moving averages
  double commitment = 0.0;  ///< weight of the mean over rounds, tokens and columns of (z - q)^2 in the loss
  double dropout = 0.0;     ///< chance that a training micro-batch goes without its last rounds
  double dead = 0.1;        ///< a codeword with less than this part of the mean count is replaced
  GradientFormat backward = GradientFormat::bfloat16;
  std::int64_t checksum_interval = 100;  ///< steps between comparisons of the two ends' codebooks
};

/// Bytes of the indices of one micro-batch that uses all rounds.
std::int64_t rvq_index_bytes(const RvqOptions& options, std::int64_t tokens);

/// Largest number of bytes that a message has beside indices and ids: all codewords and a checksum.
std::int64_t rvq_most_sync_bytes(const RvqOptions& options, int columns, Wire wire);

/// Reads the table [codec.rvq] where it has keys, for tokens of `columns` numbers.
std::optional<RvqOptions> rvq_from_deck(const Table& codec, int columns);

/// Refuses more codewords than a micro-batch has tokens, of which the first are made: Error(ExitCode::deck).
void check_codewords(const RvqOptions& options, std::int64_t tokens);

}  // namespace strait::codec
