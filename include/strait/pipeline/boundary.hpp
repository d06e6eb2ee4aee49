#pragma once
// One end of a boundary at its rank: a codec's end with its mailboxes. Functions that exchange a message
// return false, without effect, while no buffer is free or the message is not here yet.

#include "strait/codec/codec.hpp"
#include "strait/pipeline/mailbox.hpp"
#include "strait/pipeline/schedule.hpp"

#include <memory>
#include <optional>

namespace strait::pipeline {

/// How the activations of an evaluation cross the boundaries.
enum class Crossing {
  encoded,  ///< as in training
  exact     ///< every number, past the codec
};

/// Time in a codec's end, since the list began.
struct CodecSeconds {
  double encode = 0.0;  ///< encode and encode_gradient
  double decode = 0.0;  ///< decode and decode_gradient
  double update = 0.0;
};

/// `CodecEnd` is codec::Sender, which sends activations forward and synchronises downwards, or
/// codec::Receiver, which sends gradients back and synchronises upwards.
template <class T, template <class> class CodecEnd>
class BoundaryEnd {
 public:
  /// `capacities` are those of the message buffers.
  BoundaryEnd(const ExecutionSpace& exec, std::unique_ptr<CodecEnd<T>> end, const codec::BoundaryShape& shape,
              const codec::MessageBounds& capacities, Transport& transport, int peer);

  CodecEnd<T>& end() { return *end_; }
  const CodecSeconds& seconds() const { return seconds_; }

  /// Posts the receives that `list` comes to at this boundary. Evaluations have no step; all else is encoded.
  void begin(const ActionList& list, std::optional<std::int64_t> step, Crossing crossing);

  /// x [tokens, hidden]: activations at a sender, their gradients at a receiver.
  bool send(const Action& action, const codec::Context& context, ConstMatrix<T> x);
  /// x [tokens, hidden]: gradients at a sender, activations at a receiver.
  bool receive(const codec::Context& context, const Matrix<T>& x);
  bool send_sync();
  bool receive_sync();

  void update(const codec::UpdateInfo& info);

  /// No buffer is lent to the transport for sending.
  bool idle();

  /// State of the codec's end and message buffers.
  std::int64_t memory_bytes() const;

 private:
  ExecutionSpace exec_;
  int boundary_;
  std::unique_ptr<CodecEnd<T>> end_;
  Outbox out_, sync_out_;
  Inbox in_, sync_in_;
  bool synchronises_ = false;
  Crossing crossing_ = Crossing::encoded;
  CodecSeconds seconds_;
};

/// The end towards the next stage.
template <class T>
using DownstreamEnd = BoundaryEnd<T, codec::Sender>;

/// The end towards the previous stage.
template <class T>
using UpstreamEnd = BoundaryEnd<T, codec::Receiver>;

/// Of message buffers that hold whatever the codec sends, and activations that are sent past it.
template <class T>
codec::MessageBounds message_capacities(const codec::Codec<T>& codec, const codec::BoundaryShape& shape);

/// Bytes of the message buffers of either end.
std::int64_t buffer_bytes_needed(const codec::MessageBounds& capacities);

extern template class BoundaryEnd<float, codec::Sender>;
extern template class BoundaryEnd<double, codec::Sender>;
extern template class BoundaryEnd<float, codec::Receiver>;
extern template class BoundaryEnd<double, codec::Receiver>;

}  // namespace strait::pipeline
