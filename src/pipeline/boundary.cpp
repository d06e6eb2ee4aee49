#include "strait/pipeline/boundary.hpp"

#include "strait/codec/wire.hpp"

#include <algorithm>
#include <functional>
#include <vector>

namespace strait::pipeline {
namespace {

using codec::Context;
using codec::Message;
using codec::MessageBounds;
using codec::Receiver;
using codec::Sender;

// Messages in flight per direction, at each side. Synchronisation happens once per step: one is enough.
constexpr int message_buffers = 2;
constexpr int sync_buffers = 1;

using Capacity =
    std::int64_t MessageBounds::*;  // in bytes; named, since nvcc warns of its own spelling of it

/// One kind of message at a boundary.
struct Stream {
  Channel channel;
  ActionKind kind;  ///< the action that receives it
  Capacity capacity;
};

constexpr Stream forward = {Channel::forward, ActionKind::receive_forward, &MessageBounds::forward};
constexpr Stream backward = {Channel::backward, ActionKind::receive_backward, &MessageBounds::backward};
constexpr Stream sync_up = {Channel::sync_up, ActionKind::codec_sync_up, &MessageBounds::sync_up};
constexpr Stream sync_down = {Channel::sync_down, ActionKind::codec_sync_down, &MessageBounds::sync_down};

/// What an end sends and receives, and by which of its hooks.
template <class End>
struct Side;

template <class T>
struct Side<Sender<T>> {
  static constexpr Stream out = forward, in = backward, sync_out = sync_down, sync_in = sync_up;
  static constexpr auto encode = &Sender<T>::encode;
  static constexpr auto decode = &Sender<T>::decode_gradient;
  static constexpr auto fill_sync = &Sender<T>::send_sync_down;
  static constexpr auto read_sync = &Sender<T>::receive_sync_up;
};

template <class T>
struct Side<Receiver<T>> {
  static constexpr Stream out = backward, in = forward, sync_out = sync_up, sync_in = sync_down;
  static constexpr auto encode = &Receiver<T>::encode_gradient;
  static constexpr auto decode = &Receiver<T>::decode;
  static constexpr auto fill_sync = &Receiver<T>::send_sync_up;
  static constexpr auto read_sync = &Receiver<T>::receive_sync_down;
};

template <class Mailbox>
Mailbox mailbox(const Stream& stream, const codec::BoundaryShape& shape, const MessageBounds& capacities,
                Transport& transport, int peer, int buffers) {
  const Envelope envelope{.channel = stream.channel, .boundary = shape.boundary, .peer = peer};
  return Mailbox(transport, envelope, capacities.*stream.capacity, buffers);
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
bool post(const ExecutionSpace& exec, Outbox& outbox, int micro_batch, bool evaluation, double& seconds,
          Encode encode) {
  Message* message = outbox.free();
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
bool take(const ExecutionSpace& exec, Inbox& inbox, double& seconds, Decode decode) {
  const Message* message = inbox.arrived();
  if (!message) return false;
  const Stopwatch watch;
  decode(*message);
  fence(exec, "strait::pipeline::boundary: the transport fills the buffer anew");
  seconds += watch.seconds();
  inbox.release();
  return true;
}

}  // namespace

template <class T, template <class> class CodecEnd>
BoundaryEnd<T, CodecEnd>::BoundaryEnd(const ExecutionSpace& exec, std::unique_ptr<CodecEnd<T>> end,
                                      const codec::BoundaryShape& shape, const MessageBounds& capacities,
                                      Transport& transport, int peer)
    : exec_(exec),
      boundary_(shape.boundary),
      end_(std::move(end)),
      out_(mailbox<Outbox>(Side<CodecEnd<T>>::out, shape, capacities, transport, peer, message_buffers)),
      sync_out_(
          mailbox<Outbox>(Side<CodecEnd<T>>::sync_out, shape, capacities, transport, peer, sync_buffers)),
      in_(mailbox<Inbox>(Side<CodecEnd<T>>::in, shape, capacities, transport, peer, message_buffers)),
      sync_in_(mailbox<Inbox>(Side<CodecEnd<T>>::sync_in, shape, capacities, transport, peer, sync_buffers)) {
}

template <class T, template <class> class CodecEnd>
void BoundaryEnd<T, CodecEnd>::begin(const ActionList& list, std::optional<std::int64_t> step,
                                     Crossing crossing) {
  seconds_ = {};
  crossing_ = crossing;
  synchronises_ = step && end_->synchronises(*step);
  in_.expect(micro_batches(list, Side<CodecEnd<T>>::in.kind, boundary_), !step);
  if (synchronises_) {
    sync_in_.expect(micro_batches(list, Side<CodecEnd<T>>::sync_in.kind, boundary_), false);
  }
}

template <class T, template <class> class CodecEnd>
bool BoundaryEnd<T, CodecEnd>::send(const Action& action, const Context& context, ConstMatrix<T> x) {
  return post(exec_, out_, action.micro_batch, !context.training, seconds_.encode, [&](Message& message) {
    if (crossing_ == Crossing::exact) {
      message.size = codec::pack<T>(exec_, message.bytes, 0, x, codec::exact_wire<T>);
    } else {
      std::invoke(Side<CodecEnd<T>>::encode, *end_, exec_, context, x, message);
    }
  });
}

template <class T, template <class> class CodecEnd>
bool BoundaryEnd<T, CodecEnd>::receive(const Context& context, const Matrix<T>& x) {
  return take(exec_, in_, seconds_.decode, [&](const Message& message) {
    if (crossing_ == Crossing::exact) {
      codec::unpack<T>(exec_, x, message.bytes, 0, codec::exact_wire<T>);
    } else {
      std::invoke(Side<CodecEnd<T>>::decode, *end_, exec_, context, message, x);
    }
  });
}

template <class T, template <class> class CodecEnd>
bool BoundaryEnd<T, CodecEnd>::send_sync() {
  if (!synchronises_) return true;
  return post(exec_, sync_out_, -1, false, seconds_.encode,
              [&](Message& message) { std::invoke(Side<CodecEnd<T>>::fill_sync, *end_, exec_, message); });
}

template <class T, template <class> class CodecEnd>
bool BoundaryEnd<T, CodecEnd>::receive_sync() {
  if (!synchronises_) return true;
  return take(exec_, sync_in_, seconds_.decode, [&](const Message& message) {
    std::invoke(Side<CodecEnd<T>>::read_sync, *end_, exec_, message);
  });
}

template <class T, template <class> class CodecEnd>
void BoundaryEnd<T, CodecEnd>::update(const codec::UpdateInfo& info) {
  const Stopwatch watch;
  end_->update(exec_, info);
  fence(exec_, "strait::pipeline::boundary: the time of an update ends with its work");
  seconds_.update += watch.seconds();
}

template <class T, template <class> class CodecEnd>
bool BoundaryEnd<T, CodecEnd>::idle() {
  return out_.idle() && sync_out_.idle();
}

template <class T, template <class> class CodecEnd>
std::int64_t BoundaryEnd<T, CodecEnd>::memory_bytes() const {
  return end_->state_bytes() + out_.memory_bytes() + sync_out_.memory_bytes() + in_.memory_bytes() +
         sync_in_.memory_bytes();
}

template <class T>
MessageBounds message_capacities(const codec::Codec<T>& codec, const codec::BoundaryShape& shape) {
  MessageBounds capacities = codec.bounds(shape);
  const std::int64_t exact = shape.tokens * shape.hidden * codec::wire_bytes(codec::exact_wire<T>);
  capacities.forward = std::max(capacities.forward, exact);
  return capacities;
}

std::int64_t buffer_bytes_needed(const MessageBounds& capacities) {
  return message_buffers * (capacities.forward + capacities.backward) +
         sync_buffers * (capacities.sync_up + capacities.sync_down);
}

template MessageBounds message_capacities(const codec::Codec<float>&, const codec::BoundaryShape&);
template MessageBounds message_capacities(const codec::Codec<double>&, const codec::BoundaryShape&);

template class BoundaryEnd<float, Sender>;
template class BoundaryEnd<double, Sender>;
template class BoundaryEnd<float, Receiver>;
template class BoundaryEnd<double, Receiver>;

}  // namespace strait::pipeline
