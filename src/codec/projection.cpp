#include "strait/codec/projection.hpp"

#include "strait/optim/stiefel.hpp"

#include "gradient_link.hpp"
#include "projection_receiver.hpp"
#include "projection_sender.hpp"

namespace strait::codec {
namespace {

AnchorKind anchors_from_deck(const Table& table) {
  const std::string name =
      table.choice("anchors", {"factorized", "full", "static", "none"},
                   "what both ends know of an activation from its token: a trained table of width rank, one "
                   "of full width, the initial token table, nothing");
  if (name == "factorized") return AnchorKind::factorized;
  if (name == "full") return AnchorKind::full;
  return name == "static" ? AnchorKind::fixed : AnchorKind::none;
}

std::int64_t forward_bytes(const ProjectionOptions& options, const BoundaryShape& shape) {
  const std::int64_t numbers = options.rvq ? rvq_index_bytes(*options.rvq, shape.tokens)
                                           : shape.tokens * options.rank * wire_bytes(options.wire);
  const std::int64_t ids = options.anchors == AnchorKind::none ? 0 : shape.tokens * id_bytes(shape.vocab);
  return numbers + ids;
}

template <class T>
constexpr std::int64_t number_bytes = static_cast<std::int64_t>(sizeof(T));

}  // namespace

ProjectionBytes projection_bytes(const ProjectionOptions& options, const BoundaryShape& shape,
                                 std::int64_t number) {
  const std::int64_t projector =
      options.rule.empty() ? 0 : std::int64_t{shape.hidden} * options.rank * number;
  return {.forward = forward_bytes(options, shape),
          .backward = gradient_bytes(options, shape.tokens),
          .sync_up = projector,
          .sync_down = projector};
}

std::int64_t payload_bytes(const ProjectionOptions& options, const BoundaryShape& shape) {
  return forward_bytes(options, shape) + gradient_bytes(options, shape.tokens);
}

std::int64_t projector_interval(const ProjectionOptions& options, const BoundaryShape& shape,
                                std::int64_t number) {
  if (options.interval) return *options.interval;
  constexpr std::int64_t share = 50;  // one part in 50 is 2 %
  const ProjectionBytes bytes = projection_bytes(options, shape, number);
  const std::int64_t payload = payload_bytes(options, shape) * shape.micro_batches;
  const std::int64_t exchange = bytes.sync_up + bytes.sync_down;
  return std::max<std::int64_t>(1, (share * exchange + payload - 1) / payload);
}

/// A projector that micro-batches in flight hold is not changed in place: one more for each update among
/// theirs.
int projector_versions(const ProjectionOptions& options, const BoundaryShape& shape, std::int64_t number) {
  if (options.rule.empty()) return 1;
  const std::int64_t interval = projector_interval(options, shape, number);
  return 1 + static_cast<int>((shape.updates_in_flight + interval - 1) / interval);
}

template <class T>
std::vector<Diagnostic> ProjectionCodec<T>::diagnostics() const {
  std::vector<Diagnostic> all = {
      {"orthonormality", "1", "largest singular value of A^T A - I"},
      {"energy_kept", "1", "1 - |Y - Y A A^T|^2 / |Y|^2, Y the activation less its anchor"},
      {"reconstruction_error", "1", "|Y - Y A A^T| / |X|, X the activation"},
      {"anchor_share", "1", "1 - |Y|^2 / |X|^2, what the sender's anchor explains"}};
  if (!options_.rvq) return all;
  const std::vector<Diagnostic> own = RvqEncoder<T>::diagnostics(*options_.rvq);
  all.insert(all.end(), own.begin(), own.end());
  return all;
}

template <class T>
MessageBounds ProjectionCodec<T>::bounds(const BoundaryShape& shape) const {
  ProjectionBytes bytes = projection_bytes(options_, shape, number_bytes<T>);
  if (options_.rvq) {
    check_codewords(*options_.rvq, shape.tokens);
    const std::int64_t most = rvq_most_sync_bytes(*options_.rvq, options_.rank, options_.wire);
    bytes.forward += most;
    if (options_.rvq->backward == GradientFormat::rvq) bytes.backward += most;
  }
  return {.forward = bytes.forward,
          .backward = bytes.backward,
          .sync_up = bytes.sync_up,
          .sync_down = bytes.sync_down};
}

template <class T>
std::int64_t ProjectionCodec<T>::bytes_needed(Side side, const BoundaryShape& shape,
                                              model::ParameterLayout& layout) const {
  const bool sends = side == Side::sender;
  add_anchors(layout, options_, shape, sends ? shape.boundary : shape.boundary + 1);
  return sends ? ProjectionSender<T>::bytes_needed(options_, shape)
               : ProjectionReceiver<T>::bytes_needed(options_, shape);
}

template <class T>
std::vector<std::int64_t> ProjectionCodec<T>::sums_needed(Side side, const BoundaryShape& shape) const {
  return side == Side::sender ? ProjectionSender<T>::sums_needed(options_, shape)
                              : ProjectionReceiver<T>::sums_needed(options_, shape);
}

template <class T>
std::unique_ptr<Sender<T>> ProjectionCodec<T>::sender(const ExecutionSpace& exec,
                                                      const BoundaryShape& shape) const {
  return std::make_unique<ProjectionSender<T>>(exec, options_, shape);
}

template <class T>
std::unique_ptr<Receiver<T>> ProjectionCodec<T>::receiver(const ExecutionSpace& exec,
                                                          const BoundaryShape& shape) const {
  return std::make_unique<ProjectionReceiver<T>>(exec, options_, shape);
}

int rank_from_deck(Table table, int hidden) {
  const int rank = table.required<int>("rank", "numbers that cross the boundary per token and direction");
  if (rank < 1 || rank > hidden) {
    table.reject("rank", fmt::format("is {}, expected 1 to {}, the model's hidden width, of which it is the "
                                     "dimension of a subspace",
                                     rank, hidden));
  }
  return rank;
}

template <class T>
ProjectionOptions projection_from_deck(const std::string& name, Table table, int hidden) {
  ProjectionOptions options;
  options.rank = rank_from_deck(table, hidden);
  options.wire = wire_from_deck<T>(table);
  options.rvq = rvq_from_deck(table, options.rank);
  options.anchors = anchors_from_deck(table);
  const bool trained = options.anchors == AnchorKind::factorized || options.anchors == AnchorKind::full;
  if (!trained && table.has("anchor_init")) {
    table.reject("anchor_init",
                 "is given, expected only where anchors are factorized or full: others are "
                 "not trained");
  }
  options.anchors_from_table =
      table.choice("anchor_init", {"zero", "embedding"},
                   "where trained anchors start: at zero, or at the initial token table") == "embedding";
  if (name == "fixed") return options;

  options.rule = name == "unconstrained"
                     ? optim::unconstrained_muon
                     : table.choice("projector", {optim::spel, optim::manifold_muon},
                                    "update rule of the projector on the Stiefel manifold");
  options.learning_rate =
      table.at_least("projector_learning_rate",
                     table.optional<double>("projector_learning_rate", 2e-3,
                                            "of the projector; follows the run's warm-up and decay"),
                     0.0);
  options.interval = table.automatic<std::int64_t>(
      "projector_interval",
      "steps between updates of the projector; auto: the exchange is at most 2 % of the payload");
  if (options.interval) table.at_least("projector_interval", *options.interval, 1);
  return options;
}

#define STRAIT_INSTANTIATE(T)        \
  template class ProjectionCodec<T>; \
  template ProjectionOptions projection_from_deck<T>(const std::string&, Table, int);
STRAIT_INSTANTIATE(float)
STRAIT_INSTANTIATE(double)
#undef STRAIT_INSTANTIATE

}  // namespace strait::codec
