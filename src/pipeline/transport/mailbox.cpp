#include "strait/pipeline/mailbox.hpp"

#include <utility>

namespace strait::pipeline {
namespace {

codec::Message allocate(std::int64_t capacity) {
  check_message_size(capacity);
  codec::Message message;
  if (capacity == 0) return message;  // nothing is ever sent
  message.bytes = Vector<std::uint8_t>(
      Kokkos::view_alloc(Kokkos::WithoutInitializing, "strait::pipeline::message"), capacity);
  return message;
}

template <class Buffers>
std::int64_t capacity_of(const Buffers& buffers) {
  std::int64_t bytes = 0;
  for (const auto& buffer : buffers) bytes += static_cast<std::int64_t>(buffer.message.bytes.extent(0));
  return bytes;
}

}  // namespace

Outbox::Outbox(Transport& transport, const Envelope& envelope, std::int64_t capacity, int buffers)
    : transport_(transport), envelope_(envelope), buffers_(buffers) {
  for (Buffer& buffer : buffers_) buffer.message = allocate(capacity);
}

bool Outbox::available(Buffer& buffer) {
  std::erase_if(buffer.requests, [&](int request) { return transport_.done(request); });
  return buffer.requests.empty();
}

codec::Message* Outbox::free() {
  for (Buffer& buffer : buffers_) {
    if (!available(buffer)) continue;
    given_ = &buffer;
    buffer.message.size = buffer.message.sync_size = buffer.message.header_size = 0;
    return &buffer.message;
  }
  return nullptr;
}

void Outbox::post(std::int64_t micro_batch, int peer, bool evaluation) {
  ensure(given_ != nullptr, "a message is taken before it is posted");
  Envelope envelope = envelope_;
  envelope.micro_batch = micro_batch;
  envelope.peer = peer;
  envelope.evaluation = evaluation;
  given_->requests.push_back(transport_.send(envelope, given_->message));
  posted_ = std::exchange(given_, nullptr);
  posted_with_ = envelope;
}

void Outbox::post_again(int peer) {
  ensure(posted_ != nullptr, "a message was posted before");
  posted_with_.peer = peer;
  posted_->requests.push_back(transport_.send(posted_with_, posted_->message));
}

bool Outbox::idle() {
  bool all = true;
  for (Buffer& buffer : buffers_) all = available(buffer) && all;
  return all;
}

std::int64_t Outbox::memory_bytes() const { return capacity_of(buffers_); }

Inbox::Inbox(Transport& transport, const Envelope& envelope, std::int64_t capacity, int buffers)
    : transport_(transport), envelope_(envelope), buffers_(buffers) {
  for (Buffer& buffer : buffers_) buffer.message = allocate(capacity);
}

void Inbox::expect(const std::vector<Arrival>& arrivals, bool evaluation) {
  for (const Arrival& arrival : arrivals) {
    Envelope envelope = envelope_;
    envelope.micro_batch = arrival.micro_batch;
    envelope.peer = arrival.peer;
    envelope.evaluation = evaluation;
    expected_.push_back(envelope);
  }
  post();
}

const codec::Message* Inbox::arrived() {
  ensure(!posted_.empty(), "a message is expected before it is asked for");
  Buffer& oldest = *posted_.front();
  return here(oldest) ? &oldest.message : nullptr;
}

bool Inbox::here(Buffer& buffer) {
  if (buffer.request && transport_.done(*buffer.request)) buffer.request.reset();
  return !buffer.request;
}

void Inbox::release() {
  posted_.front()->in_use = false;
  posted_.pop_front();
  post();
}

bool Inbox::settled() {
  bool all = expected_.empty();
  for (Buffer* buffer : posted_) all = here(*buffer) && all;
  return all;
}

std::vector<const codec::Message*> Inbox::waiting() const {
  std::vector<const codec::Message*> messages;
  for (const Buffer* buffer : posted_) {
    ensure(!buffer->request, "messages on their way are waited for");
    messages.push_back(&buffer->message);
  }
  return messages;
}

codec::Message& Inbox::put() {
  for (Buffer& buffer : buffers_) {
    if (buffer.in_use) continue;
    buffer.in_use = true;
    posted_.push_back(&buffer);
    return buffer.message;
  }
  ensure(false, "a message has a buffer");
  return buffers_.front().message;
}

void Inbox::post() {
  for (Buffer& buffer : buffers_) {
    if (expected_.empty()) return;
    if (buffer.in_use) continue;
    buffer.in_use = true;
    buffer.request = transport_.receive(expected_.front(), buffer.message);
    posted_.push_back(&buffer);
    expected_.pop_front();
  }
}

std::int64_t Inbox::memory_bytes() const { return capacity_of(buffers_); }

}  // namespace strait::pipeline
