#pragma once
// Boundaries in a model that lives in a subspace (Subspace Networks, arXiv 2506.01260): with one fixed
// orthonormal U [hidden, rank] and one frozen table F [vocab, hidden], the same at all stages, and token ids
// t,
//
//   sender    Z  = (X - F[t]) U        receiver  X' = Z U^T + F[t]
//   backward  dZ = dX' U                         dX = dZ U^T.
//
// Nothing is lost, because the model is confined: at every stage before the last boundary the columns of the
// projections back onto the residual stream ([out, in]: attention's output and the feed-forward's down) lie
// in span(U), and the token table is F plus a trained part whose rows do. So X - F[t] lies in span(U), only
// the part of dX in span(U) has an effect on any parameter, and X' = X, dX are what they would be
// uncompressed. Layers behind the last boundary are free.
//
// A micro-batch costs tokens * rank numbers in each direction, and its ids forward. U and F are functions of
// the seed and never sent.

#include "strait/codec/wire.hpp"

#include <algorithm>

namespace strait::codec {

struct SubspaceOptions {
  int rank = 0;
  Wire wire = Wire::float32;
  double table_deviation = 1.0;         ///< standard deviation of F's numbers
  std::int64_t grassmann_interval = 0;  ///< steps between updates of U; 0: it stays
  double grassmann_rate = 0.0;          ///< of such an update, see optim/grassmann.hpp
};

/// The codec ssn.
///
/// Confinement. The senders mark and lend their stage's confined parameters: their initial values are
/// projected, their gradients before each norm, the weights after each update. An optimiser sees
/// ParameterInfo::confinement alone.
///
/// Update of U, every `grassmann_interval` steps (synchronous schedules only): the last boundary's receiver
/// sums C U = sum dX'^T (dX' U) since the update before, makes the new U of it and sends it up; each stage
/// hands it on to the stage before. Where it arrived, the weights are projected again.
template <class T>
class SubspaceCodec : public Codec<T> {
 public:
  explicit SubspaceCodec(const SubspaceOptions& options) : options_(options) {}

  std::vector<Diagnostic> diagnostics() const override;
  MessageBounds bounds(const BoundaryShape& shape) const override;
  std::int64_t sync_interval(const BoundaryShape&) const override {
    return std::max<std::int64_t>(1, options_.grassmann_interval);
  }
  std::int64_t bytes_needed(Side, const BoundaryShape&, model::ParameterLayout& layout) const override;
  std::unique_ptr<Sender<T>> sender(const ExecutionSpace&, const BoundaryShape&) const override;
  std::unique_ptr<Receiver<T>> receiver(const ExecutionSpace&, const BoundaryShape&) const override;
  void connect(Receiver<T>&, Sender<T>&) const override;

 private:
  SubspaceOptions options_;
};

/// Reads the keys of ssn for a model of width `hidden`.
template <class T>
SubspaceOptions subspace_from_deck(Table table, int hidden, const RunFacts& facts);

extern template class SubspaceCodec<float>;
extern template class SubspaceCodec<double>;

}  // namespace strait::codec
