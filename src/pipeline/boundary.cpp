#include "strait/pipeline/boundary.hpp"

#include "strait/codec/wire.hpp"

#include <algorithm>
#include <vector>

namespace strait::pipeline {
namespace {

// Messages in flight per direction, at each side. Synchronisation happens once per step: one is enough.
constexpr int message_buffers = 2;
constexpr int sync_buffers = 1;

Envelope envelope(Channel channel, const codec::BoundaryShape& shape, int peer) {
  return {.channel = channel, .boundary = shape.boundary, .peer = peer};
}

/// Of the largest forward message, encoded or exact.
template <class T>
std::int64_t forward_capacity(const codec::Codec<T>& codec, const codec::BoundaryShape& shape) {
  return std::max(codec.bounds(shape).forward,
                  shape.tokens * shape.hidden * codec::wire_bytes(codec::exact_wire<T>));
}

/// The micro-batches of the actions `kind` at `boundary`, in order.
std::vector<int> micro_batches(const ActionList& list, ActionKind kind, int boundary) {
  std::vector<int> out;
  for (const Action& action : list) {
    if (action.kind == kind && action.boundary == boundary) out.push_back(action.micro_batch);
  }
  return out;
}

/// Fills a message by `encode` and posts it; false while no buffer is free. Adds to `seconds`.
template <class Encode>
bool send(const ExecutionSpace& exec, Outbox& outbox, int micro_batch, bool evaluation, double& seconds,
          Encode encode) {
  codec::Message* message = outbox.free();
  if (!message) return false;
  const Stopwatch watch;
  encode(*message);
  fence(exec, "strait::pipeline::boundary: the transport reads the message next");
  seconds += watch.seconds();
  outbox.post(micro_batch, evaluation);
  return true;
}

/// Reads the next message by `decode`; false until it is here. Adds to `seconds`.
template <class Decode>
bool receive(const ExecutionSpace& exec, Inbox& inbox, double& seconds, Decode decode) {
  const codec::Message* message = inbox.arrived();
  if (!message) return false;
  const Stopwatch watch;
  decode(*message);
  fence(exec, "strait::pipeline::boundary: the transport fills the buffer anew");
  seconds += watch.seconds();
  inbox.release();
  return true;
}

}  // namespace

template <class T>
DownstreamEnd<T>::DownstreamEnd(const ExecutionSpace& exec, const codec::Codec<T>& codec,
                                const codec::BoundaryShape& shape, Transport& transport, int peer)
    : exec_(exec),
      boundary_(shape.boundary),
      sender_(codec.sender(exec, shape)),
      forward_(transport, envelope(Channel::forward, shape, peer), forward_capacity(codec, shape),
               message_buffers),
      sync_down_(transport, envelope(Channel::sync_down, shape, peer), codec.bounds(shape).sync_down,
                 sync_buffers),
      backward_(transport, envelope(Channel::backward, shape, peer), codec.bounds(shape).backward,
                message_buffers),
      sync_up_(transport, envelope(Channel::sync_up, shape, peer), codec.bounds(shape).sync_up,
               sync_buffers) {}

template <class T>
void DownstreamEnd<T>::begin(const ActionList& list, std::optional<std::int64_t> step, Crossing crossing) {
  seconds_ = {};
  crossing_ = crossing;
  synchronises_ = step && sender_->synchronises(*step);
  backward_.expect(micro_batches(list, ActionKind::receive_backward, boundary_), !step);
  if (synchronises_) sync_up_.expect(micro_batches(list, ActionKind::codec_sync_up, boundary_), false);
}

template <class T>
bool DownstreamEnd<T>::send_forward(const Action& action, const codec::Context& context, ConstMatrix<T> x) {
  return send(exec_, forward_, action.micro_batch, !context.training, seconds_.encode,
              [&](codec::Message& message) {
                if (crossing_ == Crossing::exact) {
                  message.size = codec::pack<T>(exec_, message.bytes, 0, x, codec::exact_wire<T>);
                } else {
                  sender_->encode(exec_, context, x, message);
                }
              });
}

template <class T>
bool DownstreamEnd<T>::receive_backward(const codec::Context& context, const Matrix<T>& dx) {
  return receive(exec_, backward_, seconds_.decode, [&](const codec::Message& message) {
    sender_->decode_gradient(exec_, context, message, dx);
  });
}

template <class T>
bool DownstreamEnd<T>::receive_sync_up() {
  if (!synchronises_) return true;
  return receive(exec_, sync_up_, seconds_.decode,
                 [&](const codec::Message& message) { sender_->receive_sync_up(exec_, message); });
}

template <class T>
bool DownstreamEnd<T>::send_sync_down() {
  if (!synchronises_) return true;
  return send(exec_, sync_down_, -1, false, seconds_.encode,
              [&](codec::Message& message) { sender_->send_sync_down(exec_, message); });
}

template <class T>
bool DownstreamEnd<T>::idle() {
  return forward_.idle() && sync_down_.idle();
}

template <class T>
std::int64_t DownstreamEnd<T>::memory_bytes() const {
  return sender_->state_bytes() + forward_.memory_bytes() + backward_.memory_bytes() +
         sync_up_.memory_bytes() + sync_down_.memory_bytes();
}

template <class T>
UpstreamEnd<T>::UpstreamEnd(const ExecutionSpace& exec, const codec::Codec<T>& codec,
                            const codec::BoundaryShape& shape, Transport& transport, int peer)
    : exec_(exec),
      boundary_(shape.boundary),
      receiver_(codec.receiver(exec, shape)),
      forward_(transport, envelope(Channel::forward, shape, peer), forward_capacity(codec, shape),
               message_buffers),
      sync_down_(transport, envelope(Channel::sync_down, shape, peer), codec.bounds(shape).sync_down,
                 sync_buffers),
      backward_(transport, envelope(Channel::backward, shape, peer), codec.bounds(shape).backward,
                message_buffers),
      sync_up_(transport, envelope(Channel::sync_up, shape, peer), codec.bounds(shape).sync_up,
               sync_buffers) {}

template <class T>
void UpstreamEnd<T>::begin(const ActionList& list, std::optional<std::int64_t> step, Crossing crossing) {
  seconds_ = {};
  crossing_ = crossing;
  synchronises_ = step && receiver_->synchronises(*step);
  forward_.expect(micro_batches(list, ActionKind::receive_forward, boundary_), !step);
  if (synchronises_) sync_down_.expect(micro_batches(list, ActionKind::codec_sync_down, boundary_), false);
}

template <class T>
bool UpstreamEnd<T>::receive_forward(const codec::Context& context, const Matrix<T>& x) {
  return receive(exec_, forward_, seconds_.decode, [&](const codec::Message& message) {
    if (crossing_ == Crossing::exact) {
      codec::unpack<T>(exec_, x, message.bytes, 0, codec::exact_wire<T>);
    } else {
      receiver_->decode(exec_, context, message, x);
    }
  });
}

template <class T>
bool UpstreamEnd<T>::send_backward(const Action& action, const codec::Context& context, ConstMatrix<T> dx) {
  return send(exec_, backward_, action.micro_batch, !context.training, seconds_.encode,
              [&](codec::Message& message) { receiver_->encode_gradient(exec_, context, dx, message); });
}

template <class T>
bool UpstreamEnd<T>::send_sync_up() {
  if (!synchronises_) return true;
  return send(exec_, sync_up_, -1, false, seconds_.encode,
              [&](codec::Message& message) { receiver_->send_sync_up(exec_, message); });
}

template <class T>
bool UpstreamEnd<T>::receive_sync_down() {
  if (!synchronises_) return true;
  return receive(exec_, sync_down_, seconds_.decode,
                 [&](const codec::Message& message) { receiver_->receive_sync_down(exec_, message); });
}

template <class T>
bool UpstreamEnd<T>::idle() {
  return backward_.idle() && sync_up_.idle();
}

template <class T>
std::int64_t UpstreamEnd<T>::memory_bytes() const {
  return receiver_->state_bytes() + forward_.memory_bytes() + backward_.memory_bytes() +
         sync_up_.memory_bytes() + sync_down_.memory_bytes();
}

template class DownstreamEnd<float>;
template class DownstreamEnd<double>;
template class UpstreamEnd<float>;
template class UpstreamEnd<double>;

}  // namespace strait::pipeline
