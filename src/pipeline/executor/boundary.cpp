#include "strait/pipeline/boundary.hpp"

#include "strait/io/tensor.hpp"

#include <algorithm>
#include <functional>
#include <utility>
#include <vector>

namespace strait::pipeline {
namespace {

using codec::Context;
using codec::Message;
using codec::MessageBounds;
using codec::Receiver;
using codec::Sender;

// Messages in flight per direction, at each side. Synchronisation happens once per step: one is enough, but
// in asynchronous schedules two of them may be on their way down.
constexpr int message_buffers = 2;
constexpr int sync_buffers = 1;
constexpr int asynchronous_sync_down_buffers = 2;  // at the receiver

/// Of a receiver. What may wait there between two lists must have arrived before a checkpoint.
int forward_buffers(std::optional<int> waiting) { return std::max(message_buffers, waiting.value_or(0)); }

using Capacity =
    std::int64_t MessageBounds::*;  // in bytes; named, since nvcc warns of its own spelling of it

/// One kind of message at a boundary.
struct Stream {
  Channel channel;
  Capacity capacity;
};

constexpr Stream forward = {Channel::forward, &MessageBounds::forward};
constexpr Stream backward = {Channel::backward, &MessageBounds::backward};
constexpr Stream sync_up = {Channel::sync_up, &MessageBounds::sync_up};
constexpr Stream sync_down = {Channel::sync_down, &MessageBounds::sync_down};

/// What an end sends and receives, and by which of its hooks.
template <class End>
struct Side;

template <class T>
struct Side<Sender<T>> {
  static constexpr bool sends_forward = true;
  static constexpr Stream out = forward, in = backward, sync_out = sync_down, sync_in = sync_up;
  static constexpr auto encode = &Sender<T>::encode;
  static constexpr auto decode = &Sender<T>::decode_gradient;
  static constexpr auto fill_sync = &Sender<T>::send_sync_down;
  static constexpr auto read_sync = &Sender<T>::receive_sync_up;
};

template <class T>
struct Side<Receiver<T>> {
  static constexpr bool sends_forward = false;
  static constexpr Stream out = backward, in = forward, sync_out = sync_up, sync_in = sync_down;
  static constexpr auto encode = &Receiver<T>::encode_gradient;
  static constexpr auto decode = &Receiver<T>::decode;
  static constexpr auto fill_sync = &Receiver<T>::send_sync_up;
  static constexpr auto read_sync = &Receiver<T>::receive_sync_down;
};

/// The format that keeps every bit of an activation.
template <class T>
codec::Wire activation_wire(const codec::BoundaryShape& shape) {
  return shape.bfloat16 ? codec::Wire::bfloat16 : codec::exact_wire<T>;
}

template <class Mailbox>
Mailbox mailbox(const Stream& stream, const codec::BoundaryShape& shape, const MessageBounds& capacities,
                Transport& transport, int buffers) {
  const Envelope envelope{.channel = stream.channel, .boundary = shape.boundary};
  return Mailbox(transport, envelope, capacities.*stream.capacity, buffers);
}

/// Fills a message by `encode` and posts it; false while no buffer is free.
template <class Encode>
bool post(Outbox& outbox, const Arrival& arrival, bool evaluation, WorkTimer& timer, Encode encode) {
  Message* message = outbox.free();
  if (!message) return false;
  timer.start();
  encode(*message);
  timer.stop();
  outbox.post(arrival.micro_batch, arrival.peer, evaluation);
  return true;
}

/// Reads the next message by `decode`; false until it is here.
template <class Decode>
bool take(Inbox& inbox, WorkTimer& timer, Decode decode) {
  const Message* message = inbox.arrived();
  if (!message) return false;
  timer.start();
  decode(*message);
  timer.stop();
  inbox.release();
  return true;
}

/// The part of a message that travels.
auto sent_part(const Message& message) {
  return Kokkos::subview(message.bytes, std::make_pair(std::int64_t{0}, message.size));
}

void write_messages(const ExecutionSpace& exec, io::Group group, const Inbox& inbox) {
  const auto messages = inbox.waiting();
  for (std::size_t i = 0; i < messages.size(); ++i) {
    io::write_tensor(group, std::to_string(i), exec, sent_part(*messages[i]));
  }
}

void read_messages(const ExecutionSpace& exec, const io::Group& group, Inbox& inbox) {
  for (std::size_t i = 0; i < group.children().size(); ++i) {
    const std::string name = std::to_string(i);
    Message& message = inbox.put();
    message.size = group.dataset(name).shape().at(0);
    ensure(message.size <= static_cast<std::int64_t>(message.bytes.extent(0)), "a message fits its buffer");
    io::read_tensor(group, name, exec, sent_part(message));
  }
}

}  // namespace

template <class T, template <class> class CodecEnd>
BoundaryEnd<T, CodecEnd>::BoundaryEnd(const ExecutionSpace& exec, std::unique_ptr<CodecEnd<T>> end,
                                      const codec::BoundaryShape& shape, const MessageBounds& capacities,
                                      Transport& transport, std::optional<int> waiting)
    : exec_(exec),
      activation_wire_(activation_wire<T>(shape)),
      encoding_(exec),
      decoding_(exec),
      updating_(exec),
      end_(std::move(end)),
      out_(mailbox<Outbox>(Side<CodecEnd<T>>::out, shape, capacities, transport, message_buffers)),
      sync_out_(mailbox<Outbox>(Side<CodecEnd<T>>::sync_out, shape, capacities, transport, sync_buffers)),
      in_(mailbox<Inbox>(Side<CodecEnd<T>>::in, shape, capacities, transport,
                         Side<CodecEnd<T>>::sends_forward ? message_buffers : forward_buffers(waiting))),
      sync_in_(mailbox<Inbox>(
          Side<CodecEnd<T>>::sync_in, shape, capacities, transport,
          waiting && !Side<CodecEnd<T>>::sends_forward ? asynchronous_sync_down_buffers : sync_buffers)) {
  if (!waiting) return;
  if constexpr (Side<CodecEnd<T>>::sends_forward) {
    evaluation_out_.emplace(mailbox<Outbox>(forward, shape, capacities, transport, message_buffers));
  } else {
    evaluation_in_.emplace(mailbox<Inbox>(forward, shape, capacities, transport, message_buffers));
  }
}

template <class T, template <class> class CodecEnd>
double BoundaryEnd<T, CodecEnd>::take_seconds() {
  const double all = seconds_before_ + (encoding_.seconds() + decoding_.seconds());
  return all - std::exchange(seconds_taken_, all);
}

template <class T, template <class> class CodecEnd>
void BoundaryEnd<T, CodecEnd>::begin(const std::vector<Arrival>& arrivals, std::optional<std::int64_t> step,
                                     int sync_peer, Crossing crossing) {
  seconds_before_ += encoding_.take_seconds() + decoding_.take_seconds();
  updating_.take_seconds();
  crossing_ = crossing;
  last_sync_sent_ = -1;
  in(step.has_value()).expect(arrivals, !step);
  if (step && end_->synchronises(*step)) sync_in_.expect({{.peer = sync_peer}}, false);
}

template <class T, template <class> class CodecEnd>
bool BoundaryEnd<T, CodecEnd>::send(const Context& context, int peer, ConstMatrix<T> x) {
  const auto encode = [&](Message& message) {
    if (crossing_ == Crossing::exact) {
      message.size = codec::pack<T>(exec_, message.bytes, 0, x, activation_wire_);
    } else {
      std::invoke(Side<CodecEnd<T>>::encode, *end_, exec_, context, x, message);
    }
  };
  return post(out(context.training), {context.micro_batch, peer}, !context.training, encoding_, encode);
}

template <class T, template <class> class CodecEnd>
bool BoundaryEnd<T, CodecEnd>::receive(const Context& context, const Matrix<T>& x) {
  return take(in(context.training), decoding_, [&](const Message& message) {
    if (crossing_ == Crossing::exact) {
      codec::unpack<T>(exec_, x, message.bytes, 0, activation_wire_);
    } else {
      std::invoke(Side<CodecEnd<T>>::decode, *end_, exec_, context, message, x);
    }
  });
}

template <class T, template <class> class CodecEnd>
bool BoundaryEnd<T, CodecEnd>::send_sync(std::int64_t step, int peer) {
  if (!end_->synchronises(step)) return true;
  if (last_sync_sent_ == step) {
    sync_out_.post_again(peer);
    return true;
  }
  const bool posted = post(sync_out_, {.peer = peer}, false, encoding_, [&](Message& message) {
    std::invoke(Side<CodecEnd<T>>::fill_sync, *end_, exec_, message);
  });
  if (posted) last_sync_sent_ = step;
  return posted;
}

template <class T, template <class> class CodecEnd>
bool BoundaryEnd<T, CodecEnd>::receive_sync(std::int64_t step) {
  if (!end_->synchronises(step)) return true;
  return take(sync_in_, decoding_, [&](const Message& message) {
    std::invoke(Side<CodecEnd<T>>::read_sync, *end_, exec_, message);
  });
}

template <class T, template <class> class CodecEnd>
void BoundaryEnd<T, CodecEnd>::update(const codec::UpdateInfo& info) {
  updating_.start();
  end_->update(exec_, info);
  updating_.stop();
}

template <class T, template <class> class CodecEnd>
bool BoundaryEnd<T, CodecEnd>::idle() {
  return out_.idle() && sync_out_.idle() && evaluation_idle();
}

template <class T, template <class> class CodecEnd>
bool BoundaryEnd<T, CodecEnd>::evaluation_idle() {
  return !evaluation_out_ || evaluation_out_->idle();
}

template <class T, template <class> class CodecEnd>
bool BoundaryEnd<T, CodecEnd>::settled() {
  const bool received = in_.settled() && sync_in_.settled();
  return idle() && received;
}

template <class T, template <class> class CodecEnd>
void BoundaryEnd<T, CodecEnd>::save_messages(io::Group group) const {
  write_messages(exec_, group.create_group("messages"), in_);
  write_messages(exec_, group.create_group("synchronisation"), sync_in_);
}

template <class T, template <class> class CodecEnd>
void BoundaryEnd<T, CodecEnd>::load_messages(const io::Group& group) {
  read_messages(exec_, group.group("messages"), in_);
  read_messages(exec_, group.group("synchronisation"), sync_in_);
}

template <class T, template <class> class CodecEnd>
std::int64_t BoundaryEnd<T, CodecEnd>::memory_bytes() const {
  std::int64_t bytes = end_->state_bytes() + out_.memory_bytes() + sync_out_.memory_bytes() +
                       in_.memory_bytes() + sync_in_.memory_bytes();
  if (evaluation_out_) bytes += evaluation_out_->memory_bytes();
  if (evaluation_in_) bytes += evaluation_in_->memory_bytes();
  return bytes;
}

template <class T>
MessageBounds message_capacities(const codec::Codec<T>& codec, const codec::BoundaryShape& shape) {
  MessageBounds capacities = codec.bounds(shape);
  const std::int64_t exact = shape.tokens * shape.hidden * codec::wire_bytes(activation_wire<T>(shape));
  capacities.forward = std::max(capacities.forward, exact);
  constexpr std::int64_t word = 8;  // what memory is allocated in: so buffers take what is planned
  for (std::int64_t* bytes :
       {&capacities.forward, &capacities.backward, &capacities.sync_up, &capacities.sync_down}) {
    *bytes = (*bytes + word - 1) / word * word;
  }
  return capacities;
}

std::int64_t buffer_bytes_needed(codec::Side side, const MessageBounds& capacities,
                                 std::optional<int> waiting) {
  const std::int64_t always = message_buffers * (capacities.forward + capacities.backward) +
                              sync_buffers * (capacities.sync_up + capacities.sync_down);
  if (!waiting) return always;
  const std::int64_t evaluation = message_buffers * capacities.forward;
  if (side == codec::Side::sender) return always + evaluation;
  return always + evaluation + (forward_buffers(waiting) - message_buffers) * capacities.forward +
         (asynchronous_sync_down_buffers - sync_buffers) * capacities.sync_down;
}

template MessageBounds message_capacities(const codec::Codec<float>&, const codec::BoundaryShape&);
template MessageBounds message_capacities(const codec::Codec<double>&, const codec::BoundaryShape&);

template class BoundaryEnd<float, Sender>;
template class BoundaryEnd<double, Sender>;
template class BoundaryEnd<float, Receiver>;
template class BoundaryEnd<double, Receiver>;

}  // namespace strait::pipeline
