#include "strait/pipeline/transport.hpp"

#include <limits>
#include <utility>

namespace strait::pipeline {

BoundaryBytes& BoundaryBytes::operator+=(const BoundaryBytes& other) {
  forward += other.forward;
  backward += other.backward;
  sync += other.sync;
  header += other.header;
  evaluation += other.evaluation;
  return *this;
}

Transport::Transport(int rank, int size, int boundaries) : rank_(rank), size_(size) {
  sent_.boundaries.resize(boundaries);
}

int Transport::send(const Envelope& envelope, const codec::Message& message) {
  ensure(message.size <= static_cast<std::int64_t>(message.bytes.extent(0)), "a message fits its buffer");
  count(envelope, message);
  return start_send(envelope, message);
}

int Transport::receive(const Envelope& envelope, codec::Message& message) {
  return start_receive(envelope, message);
}

SentBytes Transport::take_sent() {
  SentBytes out;
  out.boundaries.resize(sent_.boundaries.size());
  std::swap(out, sent_);
  return out;
}

void Transport::count(const Envelope& envelope, const codec::Message& message) {
  if (envelope.channel == Channel::tied) {
    sent_.tied += message.size;
    return;
  }
  if (envelope.channel == Channel::replicas) {
    sent_.replicas += message.size;
    return;
  }
  BoundaryBytes& account = sent_.boundaries[envelope.boundary];
  if (envelope.evaluation) {
    account.evaluation += message.size;
    return;
  }
  const std::int64_t payload = message.size - message.sync_size - message.header_size;
  account.header += message.header_size;
  account.sync += message.sync_size;
  switch (envelope.channel) {
    case Channel::forward:
      account.forward += payload;
      break;
    case Channel::backward:
      account.backward += payload;
      break;
    default:
      account.sync += payload;
      break;
  }
}

void check_message_size(std::int64_t bytes) {
  if (bytes > std::numeric_limits<int>::max()) {
    fail(ExitCode::deck,
         "strait: a message between stages would hold {} bytes, the limit is {}: use a smaller micro_batch "
         "(or, where tied embeddings are exchanged, a smaller vocabulary)",
         bytes, std::numeric_limits<int>::max());
  }
}

}  // namespace strait::pipeline
