#include "rvq_channel.hpp"

#include "strait/core/random.hpp"
#include "strait/kernels/code_indices.hpp"

namespace strait::codec {
namespace {

constexpr std::int64_t checksum_bytes = 8;

}  // namespace

RvqChannel::RvqChannel(const RvqOptions& rvq_options, const BoundaryShape& shape, int columns, Wire format,
                       std::int64_t bytes_per_id, std::int64_t payload, Direction direction_of_data)
    : options(rvq_options),
      codebook{rvq_options.groups, rvq_options.codewords, columns / rvq_options.groups},
      wire(format),
      published(rvq_published(rvq_options, columns, format, shape.micro_batches, payload)),
      decay(rvq_decay(rvq_options, shape.tokens * shape.micro_batches)),
      boundary(shape.boundary),
      direction(direction_of_data),
      tokens(shape.tokens),
      id_bytes(bytes_per_id),
      micro_batches(shape.micro_batches),
      seed(shape.seed) {}

RvqMessage RvqChannel::message(const Context& context, bool started, int next) const {
  RvqMessage message;
  message.starts = context.training && !started;
  if (context.training) {
    message.turn =
        message.starts ? kernels::CodewordTurn{0, options.codewords} : kernels::CodewordTurn{next, published};
  }
  message.rounds = context.training && started ? used_rounds(context.micro_batch) : options.rounds;

  std::int64_t at = 0;
  const std::int64_t step = context.micro_batch / micro_batches;
  if (context.training && context.micro_batch % micro_batches == 0 && step % options.checksum_interval == 0) {
    message.checksum = at;
    at += checksum_bytes;
  }
  const std::int64_t codeword_bytes =
      std::int64_t{options.rounds} * codebook.columns() * message.turn.count * wire_bytes(wire);
  message.sync_size = at + codeword_bytes;
  const std::int64_t all_ids = tokens * id_bytes;
  if (wire_bytes(wire) >= id_bytes) {
    message.codewords = at;
    message.ids = at + codeword_bytes;
  } else {
    message.ids = at;
    message.codewords = at + all_ids;
  }
  message.indices = at + codeword_bytes + all_ids;
  message.size = message.indices +
                 kernels::packed_index_bytes(tokens * options.groups * message.rounds, options.codewords);
  return message;
}

kernels::RandomTokens RvqChannel::random(Purpose purpose, std::uint64_t index) const {
  constexpr std::uint64_t streams = 0x7276710000000000ull;
  const std::uint64_t stream = streams | static_cast<std::uint64_t>(boundary) << 8 |
                               static_cast<std::uint64_t>(direction) << 4 |
                               static_cast<std::uint64_t>(purpose);
  return {seed, stream, index};
}

/// Rounds of a training micro-batch: fewer than all with the chance `dropout`, then each number from 1 on
/// equally often. Both ends draw the same.
int RvqChannel::used_rounds(std::int64_t micro_batch) const {
  if (options.dropout == 0.0) return options.rounds;
  const kernels::RandomTokens draws = random(Purpose::dropout, 2 * static_cast<std::uint64_t>(micro_batch));
  const Philox philox(draws.seed, draws.stream);
  if (philox.uniform(draws.index) >= options.dropout) return options.rounds;
  return 1 + static_cast<int>(philox.uniform(draws.index + 1) * (options.rounds - 1));
}

}  // namespace strait::codec
