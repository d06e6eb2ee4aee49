#pragma once
// What both ends of a quantised stream know without a message: where the parts of each message lie, and
// which rounds it uses.

#include "strait/codec/rvq.hpp"
#include "strait/kernels/codeword_statistics.hpp"

namespace strait::codec {

/// One message. Parts begin at multiples of their elements' size without gaps between them.
struct RvqMessage {
  int rounds = 0;              ///< that its indices cover
  kernels::CodewordTurn turn;  ///< codewords of each group and round that it publishes
  bool starts = false;         ///< the first of the stream
  std::int64_t checksum = -1;  ///< offset of 8 bytes, if any
  std::int64_t codewords = 0;  ///< offsets
  std::int64_t ids = 0;
  std::int64_t indices = 0;
  std::int64_t size = 0;
  std::int64_t sync_size = 0;
};

/// One direction across a boundary.
struct RvqChannel {
  enum class Direction { forward, backward };
  enum class Purpose { dropout, start, replacement };

  /// `id_bytes` bytes per token are left for ids in each message. `payload`: see rvq_published.
  RvqChannel(const RvqOptions& options, const BoundaryShape& shape, int columns, Wire wire,
             std::int64_t id_bytes, std::int64_t payload, Direction direction);

  RvqMessage message(const Context& context, bool started, int next) const;

  /// Of [rounds * groups * codewords, width].
  std::int64_t all_codewords() const { return options.rounds * codebook.all_codewords(); }
  std::int64_t first_codeword(int round) const { return round * codebook.all_codewords(); }
  /// Of a codebook in a file: [rounds, groups, codewords, width].
  io::Shape codebook_shape() const {
    return {options.rounds, codebook.groups, codebook.codewords, codebook.width};
  }
  kernels::RandomTokens random(Purpose purpose, std::uint64_t index) const;

  RvqOptions options;
  kernels::CodebookShape codebook;
  Wire wire;      ///< of codewords
  int published;  ///< codewords of a group and round in a message
  double decay;
  int boundary;
  Direction direction;
  std::int64_t tokens;
  std::int64_t id_bytes;
  std::int64_t micro_batches;  ///< per step
  std::uint64_t seed;

 private:
  int used_rounds(std::int64_t micro_batch) const;
};

}  // namespace strait::codec
