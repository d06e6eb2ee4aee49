#include "strait/pipeline/replica_sum.hpp"

#include "strait/kernels/elementwise.hpp"

#include <algorithm>
#include <utility>

namespace strait::pipeline {
namespace {

/// Elements that replica `part` of `parts` owns.
std::pair<std::int64_t, std::int64_t> range(std::int64_t size, int part, int parts) {
  return {size * part / parts, size * (part + 1) / parts};
}

template <class T>
codec::Message message_of(T* data, std::int64_t elements) {
  const auto bytes = elements * static_cast<std::int64_t>(sizeof(T));
  check_message_size(bytes);
  codec::Message message;
  message.bytes = Vector<std::uint8_t>(reinterpret_cast<std::uint8_t*>(data), bytes);
  message.size = bytes;
  return message;
}

bool finished(Transport& transport, std::optional<int>& request) {
  if (request && transport.done(*request)) request.reset();
  return !request;
}

}  // namespace

template <class T>
ReplicaSum<T>::ReplicaSum(const ExecutionSpace& exec, Transport& transport, const ReplicaGroup& group,
                          int virtual_stage, int index, const Vector<T>& vector)
    : exec_(exec),
      transport_(transport),
      group_(group),
      virtual_stage_(virtual_stage),
      index_(index),
      vector_(vector),
      received_(Kokkos::view_alloc(Kokkos::WithoutInitializing, "strait::pipeline::replica_sum"),
                bytes_needed(vector.extent(0), group.size()) / sizeof(T)),
      peers_(group.size()) {
  ensure(index < most_vectors, "sums that can be told apart");
  const std::int64_t size = vector.extent(0);
  const auto [own_begin, own_end] = range(size, group.own, group.size());
  const std::int64_t own = own_end - own_begin;
  std::int64_t used = 0;
  for (int r = 0; r < group.size(); ++r) {
    if (r == group.own) continue;
    const auto [begin, end] = range(size, r, group.size());
    peers_[r].to_own = message_of(vector.data() + begin, end - begin);
    peers_[r].sum = peers_[r].to_own;
    peers_[r].from_own = message_of(vector.data() + own_begin, own);
    peers_[r].theirs = message_of(received_.data() + used, own);
    used += own;
  }
}

template <class T>
Envelope ReplicaSum<T>::envelope(int replica) const {
  return {.channel = Channel::replicas,
          .boundary = virtual_stage_,
          .micro_batch = index_,
          .peer = group_.ranks[replica]};
}

template <class T>
void ReplicaSum<T>::start() {
  if (state_ != State::waiting) return;
  for (int r = 0; r < group_.size(); ++r) {
    if (r == group_.own) continue;
    peers_[r].receive = transport_.receive(envelope(r), peers_[r].theirs);
    peers_[r].send = transport_.send(envelope(r), peers_[r].to_own);
  }
  state_ = State::collecting;
}

/// The own part, once everybody's numbers are here.
template <class T>
void ReplicaSum<T>::add_up() {
  const auto view = [](codec::Message& message) {
    const auto elements = static_cast<std::int64_t>(message.bytes.extent(0) / sizeof(T));
    return Matrix<T>(reinterpret_cast<T*>(message.bytes.data()), 1, elements);
  };
  const int other = group_.own == 0 ? 1 : 0;
  const Matrix<T> own = view(peers_[other].from_own);
  const Matrix<T> sum = group_.own == 0 ? own : view(peers_[0].theirs);
  for (int r = 1; r < group_.size(); ++r) {
    kernels::add<T>(exec_, sum, r == group_.own ? own : view(peers_[r].theirs));
  }
  if (group_.own > 0) kernels::copy<T>(exec_, own, sum);
}

template <class T>
bool ReplicaSum<T>::advance() {
  if (state_ == State::waiting) return false;
  bool all = true;
  for (Peer& peer : peers_) {
    const bool sent = finished(transport_, peer.send), received = finished(transport_, peer.receive);
    all = sent && received && all;
  }
  if (!all || state_ == State::done) return all;
  if (state_ == State::sharing) {
    state_ = State::done;
    return true;
  }
  add_up();
  for (int r = 0; r < group_.size(); ++r) {
    if (r == group_.own) continue;
    // The sum comes to where the part was sent from.
    peers_[r].receive = transport_.receive(envelope(r), peers_[r].sum);
    peers_[r].send = transport_.send(envelope(r), peers_[r].from_own);
  }
  state_ = State::sharing;
  return false;
}

template <class T>
std::int64_t ReplicaSum<T>::memory_bytes() const {
  return received_.extent(0) * static_cast<std::int64_t>(sizeof(T));
}

template <class T>
std::int64_t ReplicaSum<T>::bytes_needed(std::int64_t size, int replicas) {
  constexpr std::int64_t word = 8;  // Kokkos allocates whole ones
  const std::int64_t largest_part = (size + replicas - 1) / replicas;
  const std::int64_t bytes = (replicas - 1) * largest_part * static_cast<std::int64_t>(sizeof(T));
  return (bytes + word - 1) / word * word;
}

template class ReplicaSum<float>;
template class ReplicaSum<double>;

}  // namespace strait::pipeline
