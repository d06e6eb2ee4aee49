#pragma once
// Boundaries through a learned subspace (MAPL, arXiv 2606.05484): with a projector A [hidden, rank], token
// ids t and the anchors E of the two stages,
//
//   sender    Z  = (X - E_p[t] P_p) A        receiver  X' = Z A^T + E_{p+1}[t] P_{p+1}
//   backward  dZ = dX' A                               dX = dZ A^T
//   dA = (X - E_p[t] P_p)^T dZ + dX'^T Z,    dE_{p+1}[t] += dX' P_{p+1}^T,    dE_p[t] -= dZ (P_p A)^T.
//
// A micro-batch costs tokens * rank numbers in each direction, and its ids forward; less where Z travels as
// indices of codewords, whose gradient is taken for that of Z (straight through).

#include "strait/codec/rvq.hpp"
#include "strait/codec/wire.hpp"

#include <optional>

namespace strait::codec {

/// What of an activation follows from its token alone, and need not travel.
enum class AnchorKind {
  factorized,  ///< E P: E [vocab, rank] trained, P [rank, hidden] of orthonormal rows, frozen
  full,        ///< a trained [vocab, hidden]
  fixed,       ///< the initial token table, the same at all stages ("static" in a deck)
  none
};

struct ProjectionOptions {
  int rank = 0;
  Wire wire = Wire::float32;
  AnchorKind anchors = AnchorKind::factorized;
  bool anchors_from_table = false;  ///< trained anchors start at the initial token table, not at zero
  std::string rule;                 ///< one of optim/stiefel.hpp; empty for a projector that is never updated
  double learning_rate = 0.0;       ///< of the projector, at its highest
  std::optional<std::int64_t> interval;  ///< steps between updates; automatic where empty
  std::optional<RvqOptions> rvq = {};    ///< Z travels as codewords; `wire` is the codewords' format
};

/// Bytes of every message, exactly; without what keeps codebooks equal.
struct ProjectionBytes {
  std::int64_t forward = 0;  ///< numbers and ids of one micro-batch
  std::int64_t backward = 0;
  std::int64_t sync_up = 0;    ///< the receiver's half of dA
  std::int64_t sync_down = 0;  ///< the new A
};

/// `number` bytes to a number of the projector.
ProjectionBytes projection_bytes(const ProjectionOptions& options, const BoundaryShape& shape,
                                 std::int64_t number);

/// Numbers, indices and ids of one micro-batch, in both directions.
std::int64_t payload_bytes(const ProjectionOptions& options, const BoundaryShape& shape);

/// Steps between updates of the projector. Automatic: the fewest for which the exchange is at most 2 % of the
/// payload of those steps.
std::int64_t projector_interval(const ProjectionOptions& options, const BoundaryShape& shape,
                                std::int64_t number);

/// Projectors that an end needs at once: the newest and those of micro-batches in flight.
int projector_versions(const ProjectionOptions& options, const BoundaryShape& shape, std::int64_t number);

/// The codecs mapl, fixed and unconstrained, which differ in the projector's rule. The projector starts as a
/// random orthonormal one (seed, boundary); the sender updates it and sends it down, so that the two ends
/// have the same bits. A micro-batch keeps the A that it was encoded with.
template <class T>
class ProjectionCodec : public Codec<T> {
 public:
  explicit ProjectionCodec(const ProjectionOptions& options) : options_(options) {}

  std::vector<Diagnostic> diagnostics() const override;
  MessageBounds bounds(const BoundaryShape& shape) const override;
  std::int64_t sync_interval(const BoundaryShape& shape) const override {
    return projector_interval(options_, shape, sizeof(T));
  }
  std::int64_t bytes_needed(Side side, const BoundaryShape& shape,
                            model::ParameterLayout& layout) const override;
  std::vector<std::int64_t> sums_needed(Side side, const BoundaryShape& shape) const override;
  std::unique_ptr<Sender<T>> sender(const ExecutionSpace&, const BoundaryShape&) const override;
  std::unique_ptr<Receiver<T>> receiver(const ExecutionSpace&, const BoundaryShape&) const override;

 private:
  ProjectionOptions options_;
};

/// The key `rank` of codecs that send coordinates in a subspace of a model of width `hidden`.
int rank_from_deck(Table table, int hidden);

/// Reads the keys of codec `name` (mapl, fixed or unconstrained) for a model of width `hidden`.
template <class T>
ProjectionOptions projection_from_deck(const std::string& name, Table table, int hidden);

extern template class ProjectionCodec<float>;
extern template class ProjectionCodec<double>;

}  // namespace strait::codec
