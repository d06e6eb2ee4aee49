#include "projection_receiver.hpp"

#include "strait/io/tensor.hpp"
#include "strait/kernels/elementwise.hpp"
#include "strait/kernels/embedding.hpp"
#include "strait/kernels/matmul.hpp"

namespace strait::codec {
namespace {

using kernels::matmul;
using kernels::Transpose;

/// to [columns, rows] = from [rows, columns]^T.
template <class T>
void transpose(const ExecutionSpace& exec, const Matrix<T>& to, const Matrix<T>& from) {
  const std::int64_t row_count = from.extent(0);
  Kokkos::parallel_for(
      "strait::codec::transpose", RangePolicy(exec, 0, static_cast<std::int64_t>(to.size())),
      KOKKOS_LAMBDA(std::int64_t entry) {
        const std::int64_t i = entry / row_count, j = entry % row_count;
        to(i, j) = from(j, i);
      });
}

}  // namespace

template <class T>
ProjectionReceiver<T>::ProjectionReceiver(const ExecutionSpace& exec, const ProjectionOptions& options,
                                          const BoundaryShape& shape)
    : options_(options),
      shape_(shape),
      layout_(options, shape),
      interval_(projector_interval(options, shape, sizeof(T))),
      anchors_(exec, options, shape, shape.boundary + 1),
      versions_(empty_version()),
      slots_(shape.slots + 1),
      gradients_(options, shape),
      d_code_("strait::codec::code_gradient", shape.tokens, width()),
      projector_("strait::codec::projector_received", shape.hidden, options.rank) {
  for (Slot& slot : slots_) slot.code = Matrix<T>("strait::codec::code", shape.tokens, width());
  if (options.rvq) quantiser_.emplace(rvq_forward(options, shape));
  if (learns()) gradient_ = Matrix<T>("strait::codec::projector_gradient", shape.hidden, options.rank);
  set_projector(exec, initial_projector<T>(exec, shape, options.rank));
  versions_.reserve(projector_versions(options, shape, sizeof(T)), [this] { return empty_version(); });
}

template <class T>
typename ProjectionReceiver<T>::Version ProjectionReceiver<T>::empty_version() const {
  return {Matrix<T>("strait::codec::decoder", width(), shape_.hidden)};
}

/// For micro-batches that are decoded from now on.
template <class T>
void ProjectionReceiver<T>::set_projector(const ExecutionSpace& exec, const Matrix<T>& a) {
  const Version& version =
      versions_.change([this] { return empty_version(); }, [](const Version&, const Version&) {});
  transpose<T>(exec, transposed(version), a);
  add_factor(exec, version);
}

/// P, below A^T.
template <class T>
void ProjectionReceiver<T>::add_factor(const ExecutionSpace& exec, const Version& version) const {
  if (!anchors_.factorized()) return;
  kernels::copy<T>(exec, rows(version.decoder, options_.rank, width()), anchors_.factor());
}

template <class T>
void ProjectionReceiver<T>::decode(const ExecutionSpace& exec, const Context& context, const Message& message,
                                   const Matrix<T>& x) {
  Slot& slot = slots_[context.training ? context.slot : shape_.slots];
  std::int64_t ids = layout_.ids;
  if (quantiser_) {
    ids = quantiser_->decode(exec, context, message, numbers(slot.code)).ids;
  } else {
    unpack(exec, numbers(slot.code), message.bytes, layout_.numbers, options_.wire);
  }
  if (anchors_.any()) unpack_ids(exec, context.ids, message.bytes, ids, shape_.vocab);
  if (anchors_.factorized()) {
    kernels::embedding_forward<T>(exec, anchor_rows(slot.code), anchors_.table(), context.ids);
  } else if (anchors_.wide()) {
    kernels::embedding_forward<T>(exec, x, anchors_.table(), context.ids);
  }
  matmul<T>(exec, x, slot.code, versions_.current()->decoder, {.beta = anchors_.wide() ? 1.0 : 0.0});
  if (context.training) slot.version = versions_.current();
}

template <class T>
void ProjectionReceiver<T>::encode_gradient(const ExecutionSpace& exec, const Context& context,
                                            ConstMatrix<T> dx, Message& message) {
  Slot& slot = slots_[context.slot];
  matmul<T>(exec, d_code_, dx, slot.version->decoder, {.b = Transpose::yes});
  gradients_.encode(exec, context, numbers(d_code_), message);
  if (anchors_.factorized()) {
    kernels::embedding_backward<T>(exec, anchors_.gradient(), anchor_rows(d_code_), context.ids);
  } else if (anchors_.trained()) {
    kernels::embedding_backward<T>(exec, anchors_.gradient(), dx, context.ids);
  }
  if (learns()) {
    matmul<T>(exec, gradient_, dx, numbers(slot.code),
              {.a = Transpose::yes, .beta = accumulated_ ? 1.0 : 0.0});
    accumulated_ = true;
  }
  slot.version.reset();
}

template <class T>
void ProjectionReceiver<T>::send_sync_up(const ExecutionSpace& exec, Message& message) {
  ensure(accumulated_, "a micro-batch went back before its projector is updated");
  message.size = pack<T>(exec, message.bytes, 0, gradient_, exact_wire<T>);
  accumulated_ = false;
}

template <class T>
void ProjectionReceiver<T>::receive_sync_down(const ExecutionSpace& exec, const Message& message) {
  unpack(exec, projector_, message.bytes, 0, exact_wire<T>);
  set_projector(exec, projector_);
}

template <class T>
std::vector<Vector<T>> ProjectionReceiver<T>::sums(const ExecutionSpace& exec) {
  if (!learns()) return {};
  const Vector<T> sum(gradient_.data(), gradient_.size());
  if (!accumulated_) Kokkos::deep_copy(exec, sum, T(0));
  accumulated_ = true;
  return {sum};
}

template <class T>
std::vector<std::int64_t> ProjectionReceiver<T>::sums_needed(const ProjectionOptions& options,
                                                             const BoundaryShape& shape) {
  if (options.rule.empty()) return {};
  return {std::int64_t{shape.hidden} * options.rank};
}

template <class T>
std::int64_t ProjectionReceiver<T>::bytes_needed(const ProjectionOptions& options,
                                                 const BoundaryShape& shape) {
  const std::int64_t width = (options.anchors == AnchorKind::factorized ? 2 : 1) * std::int64_t{options.rank};
  const std::int64_t projectors = options.rule.empty() ? 1 : 2;  // as it travels, and its gradient
  const std::int64_t codes = shape.slots + 2;                    // of slots, of evaluation, and a gradient
  const std::int64_t versions = projector_versions(options, shape, sizeof(T));
  const std::int64_t elements =
      codes * shape.tokens * width + (projectors * options.rank + versions * width) * shape.hidden;
  const std::int64_t codewords = options.rvq ? RvqDecoder<T>::bytes_needed(rvq_forward(options, shape)) : 0;
  return StageAnchors<T>::bytes_needed(options, shape) + elements * static_cast<std::int64_t>(sizeof(T)) +
         codewords + GradientEncoder<T>::bytes_needed(options, shape);
}

template <class T>
std::int64_t ProjectionReceiver<T>::state_bytes() const {
  const std::size_t planned = projector_versions(options_, shape_, sizeof(T));
  const std::size_t more = (versions_.count() - planned) * versions_.current()->decoder.size();
  return bytes_needed(options_, shape_) + static_cast<std::int64_t>(more * sizeof(T));
}

template <class T>
void ProjectionReceiver<T>::save(const ExecutionSpace& exec, io::Group group) const {
  gradients_.save(exec, group);
  if (accumulated_) io::write_tensor(group, "receiver_gradient", exec, gradient_);
}

template <class T>
bool ProjectionReceiver<T>::load(const ExecutionSpace& exec, const io::Group& group) {
  if (!group.has("A")) return false;
  io::read_tensor(group, "A", exec, projector_);
  set_projector(exec, projector_);
  if (quantiser_ && group.has(codebook)) quantiser_->load(exec, group.group(codebook));
  gradients_.load(exec, group);
  accumulated_ = learns() && group.has("receiver_gradient");
  if (accumulated_) io::read_tensor(group, "receiver_gradient", exec, gradient_);
  return true;
}

template <class T>
void ProjectionReceiver<T>::load_anchors(const ExecutionSpace& exec, const io::Group& group) {
  anchors_.load(exec, group);
  add_factor(exec, *versions_.current());
}

template <class T>
void ProjectionReceiver<T>::save_in_flight(const ExecutionSpace& exec, io::Group group,
                                           const std::vector<InFlight<T>>& in_flight) const {
  io::write_tensor(group, "A_transposed", exec, projector_transposed());
  if (quantiser_) quantiser_->published().save(exec, group.create_group(codebook));
  std::vector<Handle> handles;
  for (const InFlight<T>& one : in_flight) handles.push_back(slots_[one.slot].version);
  save_held(group, versions_, handles, [&](io::Group to, const Version& version) {
    io::write_tensor(to, "A_transposed", exec, transposed(version));
  });
  for (std::size_t i = 0; i < in_flight.size(); ++i) {
    io::write_tensor(group.group(std::to_string(i)), "code", exec, slots_[in_flight[i].slot].code);
  }
}

template <class T>
void ProjectionReceiver<T>::load_in_flight(const ExecutionSpace& exec, const io::Group& group,
                                           const std::vector<InFlight<T>>& in_flight) {
  const auto read = [&](const io::Group& from, const Version& version) {
    io::read_tensor(from, "A_transposed", exec, transposed(version));
    add_factor(exec, version);
  };
  read(group, *versions_.current());
  if (quantiser_) quantiser_->load(exec, group.group(codebook));
  const auto handles = load_held(
      group, versions_, in_flight.size(), [this] { return empty_version(); }, read);
  for (std::size_t i = 0; i < in_flight.size(); ++i) {
    Slot& slot = slots_[in_flight[i].slot];
    slot.version = handles[i];
    io::read_tensor(group.group(std::to_string(i)), "code", exec, slot.code);
  }
}

template class ProjectionReceiver<float>;
template class ProjectionReceiver<double>;

}  // namespace strait::codec
