#include "subspace_ends.hpp"

#include "strait/io/tensor.hpp"
#include "strait/kernels/embedding.hpp"
#include "strait/kernels/matmul.hpp"
#include "strait/optim/grassmann.hpp"

#include "projection_quality.hpp"
#include "token_rows.hpp"

namespace strait::codec {
namespace {

using kernels::matmul;
using kernels::Transpose;

bool is_due(const SubspaceOptions& options, std::int64_t step) {
  return options.grassmann_interval > 0 && (step + 1) % options.grassmann_interval == 0;
}

template <class T>
std::int64_t bytes_of(std::size_t elements) {
  return static_cast<std::int64_t>(elements * sizeof(T));
}

}  // namespace

template <class T>
SubspaceSender<T>::SubspaceSender(const ExecutionSpace& exec, const SubspaceOptions& options,
                                  const BoundaryShape& shape)
    : options_(options),
      shape_(shape),
      layout_(payload(options), shape),
      subspace_(std::make_shared<StageSubspace<T>>(exec, options, shape)),
      residual_("strait::codec::residual", shape.tokens, shape.hidden),
      z_("strait::codec::z", shape.tokens, options.rank) {}

template <class T>
bool SubspaceSender<T>::synchronises(std::int64_t step) const {
  return is_due(options_, step);
}

template <class T>
void SubspaceSender<T>::encode(const ExecutionSpace& exec, const Context& context, ConstMatrix<T> x,
                               Message& message) {
  subtract_rows<T>(exec, residual_, x, subspace_->table(), context.ids);
  matmul<T>(exec, z_, residual_, subspace_->basis());
  pack<T>(exec, message.bytes, layout_.numbers, z_, options_.wire);
  pack_ids(exec, message.bytes, layout_.ids, context.ids, shape_.vocab);
  message.size = projection_bytes(payload(options_), shape_, sizeof(T)).forward;
  if (!context.training) return;
  newest_x_ = x;
  newest_ids_ = context.ids;
}

template <class T>
void SubspaceSender<T>::decode_gradient(const ExecutionSpace& exec, const Context&, const Message& message,
                                        const Matrix<T>& dx) {
  unpack(exec, z_, message.bytes, 0, options_.wire);
  matmul<T>(exec, dx, z_, subspace_->basis(), {.b = Transpose::yes});
}

template <class T>
void SubspaceSender<T>::receive_sync_up(const ExecutionSpace& exec, const Message& message) {
  unpack(exec, subspace_->prepare_next(), message.bytes, 0, exact_wire<T>);
}

template <class T>
std::vector<double> SubspaceSender<T>::diagnose(const ExecutionSpace& exec) {
  ensure(newest_x_.size() > 0, "a micro-batch was encoded before it is diagnosed");
  subtract_rows<T>(exec, residual_, newest_x_, subspace_->table(), newest_ids_);
  const auto quality = projection_quality<T>(exec, subspace_->basis_of_last_step(), newest_x_, residual_);
  return {quality.orthonormality, quality.energy_kept, quality.reconstruction_error, quality.anchor_share};
}

template <class T>
void SubspaceSender<T>::load_in_flight(const ExecutionSpace&, const io::Group&,
                                       const std::vector<InFlight<T>>& in_flight) {
  if (in_flight.empty()) return;
  newest_x_ = in_flight.back().x;
  newest_ids_ = in_flight.back().ids;
}

template <class T>
std::int64_t SubspaceSender<T>::state_bytes() const {
  return subspace_->state_bytes() + bytes_of<T>(residual_.size() + z_.size());
}

template <class T>
SubspaceReceiver<T>::SubspaceReceiver(const ExecutionSpace& exec, const SubspaceOptions& options,
                                      const BoundaryShape& shape)
    : options_(options),
      shape_(shape),
      layout_(payload(options), shape),
      subspace_(std::make_shared<StageSubspace<T>>(exec, options, shape)),
      z_("strait::codec::z", shape.tokens, options.rank) {}

template <class T>
void SubspaceReceiver<T>::share(const std::shared_ptr<StageSubspace<T>>& subspace) {
  subspace_ = subspace;
  shares_ = true;
}

template <class T>
void SubspaceReceiver<T>::lend(const model::ParameterLayout& layout, const Vector<T>& weights,
                               const Vector<T>& gradients) {
  if (!shares_) subspace_->lend(layout, weights, gradients);
  if (leads()) cu_ = Matrix<T>("strait::codec::carried_gradient", shape_.hidden, options_.rank);
}

template <class T>
bool SubspaceReceiver<T>::synchronises(std::int64_t step) const {
  return is_due(options_, step);
}

/// The sender of the stage, where there is one, updates what they share.
template <class T>
void SubspaceReceiver<T>::update(const ExecutionSpace& exec, const UpdateInfo&) {
  if (!shares_) subspace_->update(exec);
}

template <class T>
void SubspaceReceiver<T>::decode(const ExecutionSpace& exec, const Context& context, const Message& message,
                                 const Matrix<T>& x) {
  unpack(exec, z_, message.bytes, layout_.numbers, options_.wire);
  unpack_ids(exec, context.ids, message.bytes, layout_.ids, shape_.vocab);
  kernels::embedding_forward<T>(exec, x, subspace_->table(), context.ids);
  matmul<T>(exec, x, z_, subspace_->basis(), {.b = Transpose::yes, .beta = 1.0});
}

template <class T>
void SubspaceReceiver<T>::encode_gradient(const ExecutionSpace& exec, const Context&, ConstMatrix<T> dx,
                                          Message& message) {
  matmul<T>(exec, z_, dx, subspace_->basis());
  message.size = pack<T>(exec, message.bytes, 0, z_, options_.wire);
  if (!leads()) return;
  matmul<T>(exec, cu_, dx, z_, {.a = Transpose::yes, .beta = accumulated_ ? 1.0 : 0.0});
  accumulated_ = true;
}

template <class T>
void SubspaceReceiver<T>::send_sync_up(const ExecutionSpace& exec, Message& message) {
  if (leads()) {
    ensure(accumulated_, "a micro-batch went back before its subspace is updated");
    optim::grassmann_step<T>(exec, subspace_->prepare_next(), subspace_->basis(), cu_,
                             options_.grassmann_rate);
    accumulated_ = false;
  }
  message.size = pack<T>(exec, message.bytes, 0, subspace_->next(), exact_wire<T>);
}

template <class T>
std::int64_t SubspaceReceiver<T>::state_bytes() const {
  return (shares_ ? 0 : subspace_->state_bytes()) + bytes_of<T>(z_.size() + cu_.size());
}

template <class T>
void SubspaceReceiver<T>::save(const ExecutionSpace& exec, io::Group group) const {
  if (accumulated_) io::write_tensor(group, "CU", exec, cu_);
}

template <class T>
bool SubspaceReceiver<T>::load(const ExecutionSpace& exec, const io::Group& group) {
  accumulated_ = leads() && group.has("CU");
  if (accumulated_) io::read_tensor(group, "CU", exec, cu_);
  return group.has("U");
}

template <class T>
void SubspaceReceiver<T>::load_shared(const ExecutionSpace& exec, const std::vector<io::Group>& boundaries,
                                      std::vector<std::string>& notes) {
  if (!shares_) subspace_->load(exec, boundaries, notes);
}

template class SubspaceSender<float>;
template class SubspaceSender<double>;
template class SubspaceReceiver<float>;
template class SubspaceReceiver<double>;

}  // namespace strait::codec
