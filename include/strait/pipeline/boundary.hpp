#pragma once
// The two ends of a boundary at their ranks: a codec's end with its mailboxes. Functions that exchange a
// message return false, without effect, while no buffer is free or the message is not here yet.

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
};

/// The end towards the next stage.
template <class T>
class DownstreamEnd {
 public:
  DownstreamEnd(const ExecutionSpace& exec, const codec::Codec<T>& codec, const codec::BoundaryShape& shape,
                Transport& transport, int peer);

  codec::Sender<T>& end() { return *sender_; }
  const CodecSeconds& seconds() const { return seconds_; }

  /// Posts the receives that `list` comes to at this boundary. Evaluations have no step; all else is encoded.
  void begin(const ActionList& list, std::optional<std::int64_t> step, Crossing crossing);

  bool send_forward(const Action& action, const codec::Context& context, ConstMatrix<T> x);
  bool receive_backward(const codec::Context& context, const Matrix<T>& dx);
  bool receive_sync_up();
  bool send_sync_down();

  /// No buffer is lent to the transport for sending.
  bool idle();

  /// State of the codec's end and message buffers.
  std::int64_t memory_bytes() const;

 private:
  ExecutionSpace exec_;
  int boundary_;
  std::unique_ptr<codec::Sender<T>> sender_;
  Outbox forward_, sync_down_;
  Inbox backward_, sync_up_;
  bool synchronises_ = false;
  Crossing crossing_ = Crossing::encoded;
  CodecSeconds seconds_;
};

/// The end towards the previous stage.
template <class T>
class UpstreamEnd {
 public:
  UpstreamEnd(const ExecutionSpace& exec, const codec::Codec<T>& codec, const codec::BoundaryShape& shape,
              Transport& transport, int peer);

  codec::Receiver<T>& end() { return *receiver_; }
  const CodecSeconds& seconds() const { return seconds_; }
  void begin(const ActionList& list, std::optional<std::int64_t> step, Crossing crossing);

  bool receive_forward(const codec::Context& context, const Matrix<T>& x);
  bool send_backward(const Action& action, const codec::Context& context, ConstMatrix<T> dx);
  bool send_sync_up();
  bool receive_sync_down();
  bool idle();
  std::int64_t memory_bytes() const;

 private:
  ExecutionSpace exec_;
  int boundary_;
  std::unique_ptr<codec::Receiver<T>> receiver_;
  Inbox forward_, sync_down_;
  Outbox backward_, sync_up_;
  bool synchronises_ = false;
  Crossing crossing_ = Crossing::encoded;
  CodecSeconds seconds_;
};

extern template class DownstreamEnd<float>;
extern template class DownstreamEnd<double>;
extern template class UpstreamEnd<float>;
extern template class UpstreamEnd<double>;

}  // namespace strait::pipeline
