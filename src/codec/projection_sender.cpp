#include "projection_sender.hpp"

#include "strait/io/tensor.hpp"
#include "strait/kernels/elementwise.hpp"
#include "strait/kernels/embedding.hpp"
#include "strait/kernels/matmul.hpp"

#include "projection_quality.hpp"
#include "token_rows.hpp"

namespace strait::codec {

using kernels::matmul;
using kernels::Transpose;

template <class T>
ProjectionSender<T>::ProjectionSender(const ExecutionSpace& exec, const ProjectionOptions& options,
                                      const BoundaryShape& shape)
    : options_(options),
      shape_(shape),
      layout_(options, shape),
      interval_(projector_interval(options, shape, sizeof(T))),
      anchors_(exec, options, shape, shape.boundary),
      versions_({initial_projector<T>(exec, shape, options.rank), {}}),
      slots_(shape.slots + 1),
      z_("strait::codec::z", shape.tokens, options.rank),
      gradients_(options, shape) {
  const int rank = options.rank;
  if (options.rvq) quantiser_.emplace(rvq_forward(options, shape));
  for (Slot& slot : slots_) {
    if (commits()) slot.left = Matrix<T>("strait::codec::left", shape.tokens, rank);
    if (anchors_.wide()) slot.residual = Matrix<T>("strait::codec::residual", shape.tokens, shape.hidden);
    if (anchors_.factorized()) slot.rows = Matrix<T>("strait::codec::anchor_rows", shape.tokens, rank);
  }
  if (anchors_.factorized()) {
    versions_.current()->anchors = Matrix<T>("strait::codec::projected_factor", rank, rank);
    d_rows_ = Matrix<T>("strait::codec::anchor_row_gradient", shape.tokens, rank);
  }
  if (!options.rule.empty()) {
    optimizer_ = optim::make_projector_optimizer<T>(options.rule, 1, shape.hidden, rank);
    gradient_ = Matrix<T>("strait::codec::projector_gradient", shape.hidden, rank);
    other_half_ = Matrix<T>("strait::codec::projector_gradient_received", shape.hidden, rank);
    if (anchors_.factorized()) row_gradient_ = Matrix<T>("strait::codec::row_gradient", rank, rank);
  }
  derive(exec, *versions_.current());
  versions_.reserve(projector_versions(options, shape, sizeof(T)), [this] { return empty_version(); });
}

template <class T>
typename ProjectionSender<T>::Version ProjectionSender<T>::empty_version() const {
  Version version{Matrix<T>("strait::codec::projector", shape_.hidden, options_.rank), {}};
  if (anchors_.factorized()) {
    version.anchors = Matrix<T>("strait::codec::projected_factor", options_.rank, options_.rank);
  }
  return version;
}

template <class T>
void ProjectionSender<T>::derive(const ExecutionSpace& exec, const Version& version) const {
  if (anchors_.factorized()) matmul<T>(exec, version.anchors, anchors_.factor(), version.a);
}

template <class T>
void ProjectionSender<T>::encode(const ExecutionSpace& exec, const Context& context, ConstMatrix<T> x,
                                 Message& message) {
  Slot& slot = slots_[context.training ? context.slot : shape_.slots];
  slot.version = versions_.current();
  slot.x = x;
  if (anchors_.wide()) subtract_rows<T>(exec, slot.residual, x, anchors_.table(), context.ids);
  matmul<T>(exec, z_, input(slot), slot.version->a);
  if (anchors_.factorized()) {
    kernels::embedding_forward<T>(exec, slot.rows, anchors_.table(), context.ids);
    matmul<T>(exec, z_, slot.rows, slot.version->anchors, {.alpha = -1.0, .beta = 1.0});
  }
  std::int64_t ids = layout_.ids;
  if (quantiser_) {
    ids = quantiser_->encode(exec, context, z_, message, slot.left).ids;
  } else {
    pack<T>(exec, message.bytes, layout_.numbers, z_, options_.wire);
    message.size = projection_bytes(options_, shape_, sizeof(T)).forward;
  }
  if (anchors_.any()) pack_ids(exec, message.bytes, ids, context.ids, shape_.vocab);
  if (context.training) {
    newest_ = context.slot;
  } else {
    slot.version.reset();
  }
}

template <class T>
void ProjectionSender<T>::decode_gradient(const ExecutionSpace& exec, const Context& context,
                                          const Message& message, const Matrix<T>& dx) {
  Slot& slot = slots_[context.slot];
  gradients_.decode(exec, context, message, z_);
  if (commits()) commit(exec, slot);
  matmul<T>(exec, dx, z_, slot.version->a, {.b = Transpose::yes});
  if (optimizer_) accumulate(exec, slot);
  if (anchors_.factorized()) {
    matmul<T>(exec, d_rows_, z_, slot.version->anchors, {.b = Transpose::yes});
    kernels::embedding_backward<T>(exec, anchors_.gradient(), d_rows_, context.ids, -1.0);
  } else if (anchors_.trained()) {
    kernels::embedding_backward<T>(exec, anchors_.gradient(), dx, context.ids, -1.0);
  }
  slot.version.reset();
}

/// Adds the gradient of weight * mean of (what a round has left)^2 over rounds, columns and the step's
/// tokens.
template <class T>
void ProjectionSender<T>::commit(const ExecutionSpace& exec, const Slot& slot) {
  const double numbers = static_cast<double>(shape_.tokens) * shape_.micro_batches * options_.rank;
  const double weight = 2.0 * options_.rvq->commitment / (numbers * options_.rvq->rounds);
  kernels::combine<T>(exec, z_, weight, slot.left, 1.0, z_);
}

/// This half of dA, from dZ in z_.
template <class T>
void ProjectionSender<T>::accumulate(const ExecutionSpace& exec, const Slot& slot) {
  const double beta = accumulated_ ? 1.0 : 0.0;
  matmul<T>(exec, gradient_, input(slot), z_, {.a = Transpose::yes, .beta = beta});
  if (anchors_.factorized()) {
    matmul<T>(exec, row_gradient_, slot.rows, z_, {.a = Transpose::yes, .beta = beta});
  }
  accumulated_ = true;
}

template <class T>
void ProjectionSender<T>::receive_sync_up(const ExecutionSpace& exec, const Message& message) {
  unpack(exec, other_half_, message.bytes, 0, exact_wire<T>);
}

template <class T>
Matrix<T> ProjectionSender<T>::take_gradient(const ExecutionSpace& exec) {
  kernels::add<T>(exec, other_half_, gradient_);
  if (anchors_.factorized()) {
    matmul<T>(exec, other_half_, anchors_.factor(), row_gradient_,
              {.a = Transpose::yes, .alpha = -1.0, .beta = 1.0});
  }
  return other_half_;
}

template <class T>
void ProjectionSender<T>::update(const ExecutionSpace& exec, const UpdateInfo& info) {
  if (!info.ends_step) return;
  if (quantiser_) quantiser_->update(exec);
  if (!synchronises(info.step)) return;
  const Version& version =
      versions_.change([this] { return empty_version(); },
                       [&](const Version& to, const Version& from) { kernels::copy<T>(exec, to.a, from.a); });
  optimizer_->update(exec, {version.a}, {take_gradient(exec)},
                     options_.learning_rate * info.learning_rate_fraction);
  derive(exec, version);
}

template <class T>
void ProjectionSender<T>::send_sync_down(const ExecutionSpace& exec, Message& message) {
  message.size = pack<T>(exec, message.bytes, 0, versions_.current()->a, exact_wire<T>);
  accumulated_ = false;
}

template <class T>
std::vector<Vector<T>> ProjectionSender<T>::sums(const ExecutionSpace& exec) {
  if (!optimizer_) return {};
  std::vector<Vector<T>> all = {Vector<T>(gradient_.data(), gradient_.size())};
  if (anchors_.factorized()) all.emplace_back(row_gradient_.data(), row_gradient_.size());
  for (const Vector<T>& sum : all) {
    if (!accumulated_) Kokkos::deep_copy(exec, sum, T(0));
  }
  accumulated_ = true;
  return all;
}

template <class T>
std::vector<std::int64_t> ProjectionSender<T>::sums_needed(const ProjectionOptions& options,
                                                           const BoundaryShape& shape) {
  if (options.rule.empty()) return {};
  const std::int64_t rank = options.rank;
  if (options.anchors == AnchorKind::factorized) return {shape.hidden * rank, rank * rank};
  return {shape.hidden * rank};
}

template <class T>
std::vector<double> ProjectionSender<T>::diagnose(const ExecutionSpace& exec) {
  ensure(newest_ >= 0, "a micro-batch was encoded before it is diagnosed");
  const Slot& slot = slots_[newest_];
  const Matrix<T> y("strait::codec::diagnosed", shape_.tokens, shape_.hidden);
  kernels::copy<T>(exec, y, input(slot));
  if (anchors_.factorized()) {
    matmul<T>(exec, y, slot.rows, anchors_.factor(), {.alpha = -1.0, .beta = 1.0});
  }
  const ProjectionQuality quality = projection_quality<T>(exec, versions_.current()->a, slot.x, y);
  std::vector<double> values = {quality.orthonormality, quality.energy_kept, quality.reconstruction_error,
                                quality.anchor_share};
  if (!quantiser_) return values;
  const std::vector<double> own = quantiser_->diagnose(exec);
  values.insert(values.end(), own.begin(), own.end());
  return values;
}

template <class T>
std::int64_t ProjectionSender<T>::bytes_needed(const ProjectionOptions& options, const BoundaryShape& shape) {
  const std::int64_t rank = options.rank, tokens = shape.tokens, slots = shape.slots + 1;
  const std::int64_t projector = shape.hidden * rank;
  const bool factorized = options.anchors == AnchorKind::factorized;
  const bool wide = options.anchors == AnchorKind::full || options.anchors == AnchorKind::fixed;
  const std::int64_t versions = projector_versions(options, shape, sizeof(T));
  std::int64_t elements = versions * projector + tokens * rank;
  if (factorized) elements += versions * rank * rank + (slots + 1) * tokens * rank;
  if (wide) elements += slots * tokens * shape.hidden;
  std::int64_t bytes =
      StageAnchors<T>::bytes_needed(options, shape) + GradientDecoder<T>::bytes_needed(options, shape);
  if (options.rvq) {
    bytes += RvqEncoder<T>::bytes_needed(rvq_forward(options, shape));
    if (options.rvq->commitment > 0.0) elements += slots * tokens * rank;
  }
  if (!options.rule.empty()) {
    elements += 2 * projector + (factorized ? rank * rank : 0);
    bytes += optim::projector_state_bytes<T>(options.rule, 1, shape.hidden, rank);
  }
  return bytes + elements * static_cast<std::int64_t>(sizeof(T));
}

template <class T>
std::int64_t ProjectionSender<T>::state_bytes() const {
  const Version& version = *versions_.current();
  const std::size_t planned = projector_versions(options_, shape_, sizeof(T));
  const std::size_t more = (versions_.count() - planned) * (version.a.size() + version.anchors.size());
  return bytes_needed(options_, shape_) + static_cast<std::int64_t>(more * sizeof(T));
}

template <class T>
void ProjectionSender<T>::save(const ExecutionSpace& exec, io::Group group) const {
  io::write_tensor(group, "A", exec, versions_.current()->a);
  if (quantiser_) quantiser_->save(exec, group.create_group(codebook));
  if (!optimizer_) return;
  optimizer_->save(exec, 0, group);
  if (!accumulated_) return;
  io::write_tensor(group, "sender_gradient", exec, gradient_);
  if (anchors_.factorized()) io::write_tensor(group, "sender_row_gradient", exec, row_gradient_);
}

template <class T>
bool ProjectionSender<T>::load(const ExecutionSpace& exec, const io::Group& group) {
  if (!group.has("A")) return false;
  const Version& version = *versions_.current();
  io::read_tensor(group, "A", exec, version.a);
  derive(exec, version);
  if (quantiser_ && group.has(codebook)) quantiser_->load(exec, group.group(codebook));
  gradients_.load(exec, group);
  if (!optimizer_) return true;
  if (group.has("momentum")) optimizer_->load(exec, 0, group);
  accumulated_ = group.has("sender_gradient") && anchors_.factorized() == group.has("sender_row_gradient");
  if (!accumulated_) return true;
  io::read_tensor(group, "sender_gradient", exec, gradient_);
  if (anchors_.factorized()) io::read_tensor(group, "sender_row_gradient", exec, row_gradient_);
  return true;
}

template <class T>
void ProjectionSender<T>::save_in_flight(const ExecutionSpace& exec, io::Group group,
                                         const std::vector<InFlight<T>>& in_flight) const {
  std::vector<Handle> handles;
  for (const InFlight<T>& one : in_flight) handles.push_back(slots_[one.slot].version);
  save_held(group, versions_, handles,
            [&](io::Group to, const Version& version) { io::write_tensor(to, "A", exec, version.a); });
  for (std::size_t i = 0; i < in_flight.size(); ++i) {
    const Slot& slot = slots_[in_flight[i].slot];
    const io::Group to = group.group(std::to_string(i));
    if (anchors_.wide()) io::write_tensor(to, "residual", exec, slot.residual);
    if (anchors_.factorized()) io::write_tensor(to, "rows", exec, slot.rows);
    if (commits()) io::write_tensor(to, "left", exec, slot.left);
  }
}

template <class T>
void ProjectionSender<T>::load_in_flight(const ExecutionSpace& exec, const io::Group& group,
                                         const std::vector<InFlight<T>>& in_flight) {
  const auto handles = load_held(
      group, versions_, in_flight.size(), [this] { return empty_version(); },
      [&](const io::Group& from, const Version& version) {
        io::read_tensor(from, "A", exec, version.a);
        derive(exec, version);
      });
  for (std::size_t i = 0; i < in_flight.size(); ++i) {
    Slot& slot = slots_[in_flight[i].slot];
    const io::Group from = group.group(std::to_string(i));
    slot.version = handles[i];
    slot.x = in_flight[i].x;
    newest_ = in_flight[i].slot;
    if (anchors_.wide()) io::read_tensor(from, "residual", exec, slot.residual);
    if (anchors_.factorized()) io::read_tensor(from, "rows", exec, slot.rows);
    if (commits()) io::read_tensor(from, "left", exec, slot.left);
  }
}

template <class T>
void ProjectionSender<T>::load_anchors(const ExecutionSpace& exec, const io::Group& group) {
  anchors_.load(exec, group);
  derive(exec, *versions_.current());
}

template class ProjectionSender<float>;
template class ProjectionSender<double>;

}  // namespace strait::codec
