#pragma once
// One end of a boundary at its rank: a codec's end with its mailboxes. Functions that exchange a message
// return false, without effect, while no buffer is free or the message is not here yet.

#include "strait/codec/wire.hpp"
#include "strait/core/work_timer.hpp"
#include "strait/pipeline/mailbox.hpp"
#include "strait/pipeline/schedule.hpp"

#include <memory>
#include <optional>

namespace strait::pipeline {

/// How the activations of an evaluation cross the boundaries.
enum class Crossing {
  encoded,  ///< as in training
  exact     ///< every bit that the stages keep, past the codec
};

/// Time of a codec's end, since the list began, in what is done on the device.
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
  /// `capacities` are those of the message buffers. In asynchronous schedules evaluations have buffers of
  /// their own, since training messages are on their way during them: `waiting` forward messages at most.
  BoundaryEnd(const ExecutionSpace& exec, std::unique_ptr<CodecEnd<T>> end, const codec::BoundaryShape& shape,
              const codec::MessageBounds& capacities, Transport& transport, std::optional<int> waiting);

  CodecEnd<T>& end() { return *end_; }
  CodecSeconds seconds() { return {encoding_.seconds(), decoding_.seconds(), updating_.seconds()}; }
  /// Of encoding and decoding, in all lists, since they were asked for last.
  double take_seconds();

  /// Begins a list: posts the receives of `arrivals`, and of the synchronisation of `step`, which comes from
  /// rank `sync_peer`. Evaluations have no step; all else is encoded.
  void begin(const std::vector<Arrival>& arrivals, std::optional<std::int64_t> step, int sync_peer,
             Crossing crossing);

  /// x [tokens, hidden]: activations at a sender, their gradients at a receiver.
  bool send(const codec::Context& context, int peer, ConstMatrix<T> x);
  /// x [tokens, hidden]: gradients at a sender, activations at a receiver.
  bool receive(const codec::Context& context, const Matrix<T>& x);
  /// Every rank that is to hear of one synchronisation gets the same message.
  bool send_sync(std::int64_t step, int peer);
  bool receive_sync(std::int64_t step);

  void update(const codec::UpdateInfo& info);

  /// No buffer is lent to the transport for sending; of evaluations alone.
  bool idle();
  bool evaluation_idle();
  /// All that is on its way to this end is here, and all that was sent has arrived.
  bool settled();

  /// The messages that are here and not read yet, once settled.
  void save_messages(io::Group group) const;
  void load_messages(const io::Group& group);

  /// State of the codec's end and message buffers.
  std::int64_t memory_bytes() const;

 private:
  Outbox& out(bool training) { return !training && evaluation_out_ ? *evaluation_out_ : out_; }
  Inbox& in(bool training) { return !training && evaluation_in_ ? *evaluation_in_ : in_; }

  ExecutionSpace exec_;
  codec::Wire activation_wire_;  ///< of what crosses past the codec
  WorkTimer encoding_, decoding_, updating_;
  double seconds_before_ = 0.0;  ///< of encoding and decoding, in the lists before this one
  double seconds_taken_ = 0.0;   ///< part of these and of this list's
  std::unique_ptr<CodecEnd<T>> end_;
  Outbox out_, sync_out_;
  Inbox in_, sync_in_;
  std::optional<Outbox> evaluation_out_;
  std::optional<Inbox> evaluation_in_;
  std::int64_t last_sync_sent_ = -1;  ///< step
  Crossing crossing_ = Crossing::encoded;
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

/// Bytes of the message buffers of an end; `waiting` as above.
std::int64_t buffer_bytes_needed(codec::Side side, const codec::MessageBounds& capacities,
                                 std::optional<int> waiting);

extern template class BoundaryEnd<float, codec::Sender>;
extern template class BoundaryEnd<double, codec::Sender>;
extern template class BoundaryEnd<float, codec::Receiver>;
extern template class BoundaryEnd<double, codec::Receiver>;

}  // namespace strait::pipeline
