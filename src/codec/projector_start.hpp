#pragma once
// What both ends of a boundary know of its projector before the first message.

#include "strait/codec/projection.hpp"
#include "strait/kernels/orthonormal.hpp"

#include "rvq_channel.hpp"

namespace strait::codec {

/// A [hidden, rank] of the boundary, a function of the seed.
template <class T>
Matrix<T> initial_projector(const ExecutionSpace& exec, const BoundaryShape& shape, int rank) {
  constexpr std::uint64_t streams = 0x70726f6a00000000ull;  // one per boundary
  const Matrix<T> a("strait::codec::projector", shape.hidden, rank);
  kernels::fill_orthonormal<T>(exec, a, shape.seed, streams + static_cast<std::uint64_t>(shape.boundary));
  return a;
}

/// Name of the activations' codebook in a checkpoint.
inline constexpr const char* codebook = "codebook";

/// Activations as codewords; ids travel with them where there are anchors.
inline RvqChannel rvq_forward(const ProjectionOptions& options, const BoundaryShape& shape) {
  const std::int64_t ids = options.anchors == AnchorKind::none ? 0 : id_bytes(shape.vocab);
  return {*options.rvq,
          shape,
          options.rank,
          options.wire,
          ids,
          payload_bytes(options, shape),
          RvqChannel::Direction::forward};
}

/// Where the parts of a forward message begin: the wider elements come first, so that all are aligned.
struct ProjectionLayout {
  ProjectionLayout(const ProjectionOptions& options, const BoundaryShape& shape) {
    const std::int64_t number_bytes = shape.tokens * options.rank * wire_bytes(options.wire);
    const std::int64_t all_ids = shape.tokens * id_bytes(shape.vocab);
    if (options.anchors == AnchorKind::none || wire_bytes(options.wire) >= id_bytes(shape.vocab)) {
      ids = number_bytes;
    } else {
      numbers = all_ids;
    }
  }

  std::int64_t numbers = 0;
  std::int64_t ids = 0;
};

}  // namespace strait::codec
