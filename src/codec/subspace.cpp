#include "strait/codec/subspace.hpp"

#include "subspace_ends.hpp"

#include <algorithm>

namespace strait::codec {
namespace {

/// The stage with the head, or with a copy of the token table for it.
bool is_last_stage(const model::ParameterLayout& layout) {
  const auto& entries = layout.entries();
  return std::any_of(entries.begin(), entries.end(),
                     [](const auto& info) { return info.role == model::ParameterRole::head || info.shared; });
}

}  // namespace

template <class T>
std::vector<Diagnostic> SubspaceCodec<T>::diagnostics() const {
  return {{"orthonormality", "1", "largest singular value of U^T U - I"},
          {"energy_kept", "1", "1 - |Y - Y U U^T|^2 / |Y|^2, Y the activation less its frozen row"},
          {"reconstruction_error", "1", "|Y - Y U U^T| / |X|, X the activation"},
          {"anchor_share", "1", "1 - |Y|^2 / |X|^2, what the frozen table explains"}};
}

template <class T>
MessageBounds SubspaceCodec<T>::bounds(const BoundaryShape& shape) const {
  const ProjectionBytes bytes = projection_bytes(payload(options_), shape, sizeof(T));
  const bool follows = options_.grassmann_interval > 0;
  return {.forward = bytes.forward,
          .backward = bytes.backward,
          .sync_up = follows ? std::int64_t{shape.hidden} * options_.rank * wire_bytes(exact_wire<T>) : 0,
          .sync_down = 0};
}

template <class T>
std::int64_t SubspaceCodec<T>::bytes_needed(Side side, const BoundaryShape& shape,
                                            model::ParameterLayout& layout) const {
  const std::int64_t numbers = shape.tokens * options_.rank;
  std::int64_t elements = numbers;
  std::int64_t shared = 0;
  if (side == Side::sender) {
    StageSubspace<T>::confine(layout);
    shared = StageSubspace<T>::bytes_needed(options_, shape, layout);
    elements += shape.tokens * shape.hidden;
  } else if (is_last_stage(layout)) {
    shared = StageSubspace<T>::bytes_needed(options_, shape, layout);
    if (options_.grassmann_interval > 0) elements += std::int64_t{shape.hidden} * options_.rank;
  }
  return shared + elements * static_cast<std::int64_t>(sizeof(T));
}

template <class T>
std::unique_ptr<Sender<T>> SubspaceCodec<T>::sender(const ExecutionSpace& exec,
                                                    const BoundaryShape& shape) const {
  return std::make_unique<SubspaceSender<T>>(exec, options_, shape);
}

template <class T>
std::unique_ptr<Receiver<T>> SubspaceCodec<T>::receiver(const ExecutionSpace& exec,
                                                        const BoundaryShape& shape) const {
  return std::make_unique<SubspaceReceiver<T>>(exec, options_, shape);
}

template <class T>
void SubspaceCodec<T>::connect(Receiver<T>& receiver, Sender<T>& sender) const {
  static_cast<SubspaceReceiver<T>&>(receiver).share(static_cast<SubspaceSender<T>&>(sender).subspace());
}

template <class T>
SubspaceOptions subspace_from_deck(Table table, int hidden, const RunFacts& facts) {
  if (facts.tied_embeddings) {
    table.reject("name",
                 "is ssn, expected model.tie_embeddings = false: ssn holds the token table in a subspace and "
                 "leaves the head free, so they cannot be one tensor");
  }
  SubspaceOptions options;
  options.rank = rank_from_deck(table, hidden);
  options.wire = wire_from_deck<T>(table);
  options.table_deviation = table.at_least(
      "table_deviation",
      table.optional<double>("table_deviation", 1.0,
                             "standard deviation of the frozen part of the token table (ssn); the trained "
                             "part starts at the initial table, 0.02, projected"),
      0.0);
  options.grassmann_interval = table.at_least(
      "grassmann_interval",
      table.optional<std::int64_t>("grassmann_interval", 0,
                                   "steps between updates of the subspace by the gradients at the last "
                                   "boundary (ssn); 0: it stays"),
      0);
  if (options.grassmann_interval > 0 && !facts.synchronous) {
    table.reject("grassmann_interval",
                 fmt::format("is {}, expected 0 with an asynchronous schedule: micro-batches in flight would "
                             "be decoded in another subspace than they were encoded in",
                             options.grassmann_interval));
  }
  if (options.grassmann_interval > 0 && facts.replicated) {
    table.reject("grassmann_interval",
                 fmt::format("is {}, expected 0 with pipeline.replicas > 1", options.grassmann_interval));
  }
  options.grassmann_rate = table.at_least(
      "grassmann_rate",
      table.optional<double>("grassmann_rate", 0.1,
                             "of an update of the subspace, in units of the mean energy of its directions "
                             "(ssn)"),
      0.0);
  if (options.grassmann_interval == 0 && table.has("grassmann_rate")) {
    table.reject("grassmann_rate", "is given, expected only where grassmann_interval is more than 0");
  }
  return options;
}

#define STRAIT_INSTANTIATE(T)      \
  template class SubspaceCodec<T>; \
  template SubspaceOptions subspace_from_deck<T>(Table, int, const RunFacts&);
STRAIT_INSTANTIATE(float)
STRAIT_INSTANTIATE(double)
#undef STRAIT_INSTANTIATE

}  // namespace strait::codec
