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
  int codewords = 2;             ///< of a group and round, 2 to 65,536
  std::optional<int> published;  ///< of those of each group and round, in a micro-batch's message; none: see
                                 ///< rvq_published
  std::optional<double> decay;   ///< of the moving averages, per step; none: see rvq_decay
  double commitment = 0.0;  ///< weight of the mean over rounds, tokens and columns of (z - q)^2 in the loss
  double dropout = 0.0;     ///< chance that a training micro-batch goes without its last rounds
  double dead = 0.1;        ///< a codeword with less than this part of the mean count is replaced
  GradientFormat backward = GradientFormat::bfloat16;
  std::int64_t checksum_interval = 100;  ///< steps between comparisons of the two ends' codebooks
};

/// Codewords of each group and round in a training micro-batch's message. Automatic: as many as publish the
/// codebook once in a step of `micro_batches`, or as many as 1.5 % of `payload` buys (the micro-batch's
/// numbers, indices and ids of both directions), but no fewer than publish it in four steps: codewords that
/// follow later lose the activations.
int rvq_published(const RvqOptions& options, int columns, Wire wire, std::int64_t micro_batches,
                  std::int64_t payload);

/// Decay of the moving averages in a step of so many tokens. Automatic: 1 - tokens / (64 codewords), so that
/// they reach back over about 64 tokens of each codeword, whose mean is then known to an eighth of their
/// spread; from 0.5 to 0.99.
double rvq_decay(const RvqOptions& options, std::int64_t tokens_of_step);

/// Bytes of the indices of one micro-batch that uses all rounds.
std::int64_t rvq_index_bytes(const RvqOptions& options, std::int64_t tokens);

/// Largest number of bytes that a message has beside indices and ids: all codewords and a checksum.
std::int64_t rvq_most_sync_bytes(const RvqOptions& options, int columns, Wire wire);

/// Reads the table [codec.rvq] where it has keys, for tokens of `columns` numbers.
std::optional<RvqOptions> rvq_from_deck(const Table& codec, int columns);

/// Refuses more codewords than a micro-batch has tokens, of which the first are made: Error(ExitCode::deck).
void check_codewords(const RvqOptions& options, std::int64_t tokens);

}  // namespace strait::codec
