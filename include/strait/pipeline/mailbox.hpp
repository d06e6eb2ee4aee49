#pragma once
// The buffers of one channel of a boundary, with the messages that are on their way in them.

#include "strait/pipeline/transport.hpp"

#include <deque>
#include <optional>
#include <vector>

namespace strait::pipeline {

/// A message that is to come: whose micro-batch's, from which rank.
struct Arrival {
  std::int64_t micro_batch = -1;
  int peer = 0;
};

/// Outgoing messages: with two buffers one may be filled while the other is lent to the transport.
class Outbox {
 public:
  /// `envelope` gives channel and boundary; `capacity` in bytes.
  Outbox(Transport& transport, const Envelope& envelope, std::int64_t capacity, int buffers);

  /// A message to fill, with its sizes at zero; null while all buffers are lent.
  codec::Message* free();

  /// Sends the message that `free` gave last.
  void post(std::int64_t micro_batch, int peer, bool evaluation);
  /// Sends the message that was posted last to another rank too, whatever became of the first.
  void post_again(int peer);

  /// True once no buffer is lent.
  bool idle();

  std::int64_t memory_bytes() const;

 private:
  struct Buffer {
    codec::Message message;
    std::vector<int> requests;
  };
  bool available(Buffer& buffer);

  Transport& transport_;
  Envelope envelope_;
  std::vector<Buffer> buffers_;
  Buffer* given_ = nullptr;
  Buffer* posted_ = nullptr;
  Envelope posted_with_;
};

/// Incoming messages: receives are posted for as many of the expected messages as there are buffers.
class Inbox {
 public:
  Inbox(Transport& transport, const Envelope& envelope, std::int64_t capacity, int buffers);

  /// The messages that come next, in order.
  void expect(const std::vector<Arrival>& arrivals, bool evaluation);

  /// The oldest expected message, null until it is here.
  const codec::Message* arrived();

  /// The kernels that read it have been launched: its buffer receives the next expected message.
  void release();

  /// True once every expected message is here.
  bool settled();

  /// The messages that are here and not read, oldest first, once all are.
  std::vector<const codec::Message*> waiting() const;
  /// A message that counts as the next to be here, to be filled. There must be a buffer for it.
  codec::Message& put();

  std::int64_t memory_bytes() const;

 private:
  struct Buffer {
    codec::Message message;
    std::optional<int> request;
    bool in_use = false;
  };
  void post();
  bool here(Buffer& buffer);

  Transport& transport_;
  Envelope envelope_;
  std::vector<Buffer> buffers_;
  std::deque<Envelope> expected_;  ///< not posted yet
  std::deque<Buffer*> posted_;     ///< oldest first
};

}  // namespace strait::pipeline
