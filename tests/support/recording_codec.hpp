#pragma once
// A codec that uses every hook and writes down each call. It is exact: its two scales are powers of two.
//
// With scale a (a power of two that changes with every update) and anchors E_s, E_r [vocab, hidden], trained
// with their stages,
//   z = a (x + E_s[ids]),  x' = z / a + E_r[ids],  dz = g / a,  dx = a dz,  dE_r[ids] += g,  dE_s[ids] += dx.
// A micro-batch keeps its ids and the scale that it was encoded with, at both ends, until its backward.
// Forward messages hold a header {micro-batch, version}, ids, a codeword (synchronisation: the scale's
// exponent) and z. At the end of every second step the receiver reports how many micro-batches it decoded,
// and the sender answers with the scale.

#include "strait/codec/wire.hpp"
#include "strait/core/host_mirror.hpp"

#include <cstring>
#include <map>
#include <string>
#include <vector>

namespace strait::test {

struct HookCall {
  std::string hook;
  int boundary = 0;
  std::int64_t micro_batch = -1;
  int slot = -1;
  std::int64_t version = -1;
  bool training = true;

  bool operator==(const HookCall&) const = default;
};

/// Calls of every end, in order. One log per rank over MPI, one for all ranks in a process.
using HookLog = std::vector<HookCall>;

namespace recording {

struct Header {
  std::int64_t micro_batch;
  std::int64_t version;
};

/// The bytes of a message on the host, read or written front to back.
class Bytes {
 public:
  explicit Bytes(std::size_t size) : data_(size) {}
  Bytes(const ExecutionSpace& exec, const codec::Message& message) : data_(message.size) {
    const auto host = to_host(exec, message.bytes);
    std::memcpy(data_.data(), host.data(), data_.size());
  }

  template <class V>
  void put(const V& value) {
    std::memcpy(data_.data() + at_, &value, sizeof(V));
    at_ += sizeof(V);
  }
  template <class V>
  V take() {
    V value;
    std::memcpy(&value, data_.data() + at_, sizeof(V));
    at_ += sizeof(V);
    return value;
  }

  void store(const ExecutionSpace& exec, codec::Message& message) const {
    ensure(at_ == data_.size(), "a message is written in full");
    auto host = to_host(exec, message.bytes);
    std::memcpy(host.data(), data_.data(), data_.size());
    to_device(exec, message.bytes, host);
    message.size = static_cast<std::int64_t>(data_.size());
  }

 private:
  std::vector<std::uint8_t> data_;
  std::size_t at_ = 0;
};

/// What the two ends have in common.
template <class T>
class EndState {
 public:
  EndState(const codec::BoundaryShape& shape, std::string side, HookLog& log)
      : shape_(shape), side_(std::move(side)), log_(log) {}

  void note(const std::string& hook) const {
    log_.push_back({.hook = side_ + "." + hook, .boundary = shape_.boundary});
  }
  void note(const std::string& hook, const codec::Context& c) const {
    log_.push_back(
        {side_ + "." + hook, shape_.boundary, c.micro_batch, c.slot, c.weight_version, c.training});
  }

  std::string anchors() const { return fmt::format("boundary.{}.{}.anchors", shape_.boundary, side_); }

  void add_parameters(model::ParameterLayout& layout) {
    layout.add(anchors(), model::ParameterRole::anchor, shape_.vocab, shape_.hidden);
  }

  void lend(const model::ParameterLayout& layout, const Vector<T>& weights, const Vector<T>& gradients) {
    for (std::size_t i = 0; i < layout.entries().size(); ++i) {
      if (layout.entries()[i].name != anchors()) continue;
      weights_ = layout.view(weights, static_cast<int>(i));
      gradients_ = layout.view(gradients, static_cast<int>(i));
    }
    ensure(weights_.extent(0) > 0, "anchors are found in the stage's parameters");
  }

  /// Rows of the anchors added to x.
  template <class HostMatrix>
  void add_anchors(const ExecutionSpace& exec, HostMatrix& x, const std::vector<std::int32_t>& ids) const {
    const auto table = to_host(exec, weights_);
    for (std::size_t t = 0; t < ids.size(); ++t) {
      for (int j = 0; j < shape_.hidden; ++j) x(t, j) += table(ids[t], j);
    }
  }

  template <class HostMatrix>
  void add_gradient(const ExecutionSpace& exec, const HostMatrix& g,
                    const std::vector<std::int32_t>& ids) const {
    auto table = to_host(exec, gradients_);
    for (std::size_t t = 0; t < ids.size(); ++t) {
      for (int j = 0; j < shape_.hidden; ++j) table(ids[t], j) += g(t, j);
    }
    to_device(exec, gradients_, table);
  }

  /// What a micro-batch leaves behind until its backward.
  struct Kept {
    std::int64_t micro_batch = -1;
    double scale = 0.0;
    std::vector<std::int32_t> ids;
  };
  void keep(const codec::Context& c, double scale, std::vector<std::int32_t> ids) {
    ensure(c.slot < shape_.slots, "a slot that exists");
    ensure(kept_[c.slot].micro_batch < 0, "a slot is free when its micro-batch comes");
    kept_[c.slot] = {c.micro_batch, scale, std::move(ids)};
  }
  Kept take(const codec::Context& c) {
    Kept kept = std::exchange(kept_[c.slot], Kept());
    ensure(kept.micro_batch == c.micro_batch, "a slot keeps its micro-batch");
    return kept;
  }

  double scale() const { return std::ldexp(1.0, exponent_); }

  void save(const ExecutionSpace&, io::Group group) const {
    group.set_attribute(side_ + ".exponent", std::int64_t{exponent_});
  }
  void load(const io::Group& group) {
    exponent_ = static_cast<int>(group.attribute<std::int64_t>(side_ + ".exponent"));
  }

  codec::BoundaryShape shape_;
  int exponent_ = 0;  ///< of the scale
  std::int64_t decoded_ = 0;

 private:
  std::string side_;
  HookLog& log_;
  Matrix<T> weights_, gradients_;
  std::map<int, Kept> kept_;
};

/// Host copies of ids and back.
inline std::vector<std::int32_t> ids_of(const ExecutionSpace& exec, const codec::Context& c) {
  const auto host = to_host(exec, c.ids);
  return {host.data(), host.data() + host.extent(0)};
}

inline bool every_second(std::int64_t step) { return step % 2 == 1; }

}  // namespace recording

template <class T>
class RecordingSender : public codec::Sender<T> {
 public:
  RecordingSender(const codec::BoundaryShape& shape, HookLog& log) : state_(shape, "sender", log) {}

  void add_parameters(model::ParameterLayout& layout) override { state_.add_parameters(layout); }
  void lend(const model::ParameterLayout& layout, const Vector<T>& weights,
            const Vector<T>& gradients) override {
    state_.note("lend");
    state_.lend(layout, weights, gradients);
  }
  bool synchronises(std::int64_t step) const override { return recording::every_second(step); }
  std::int64_t state_bytes() const override { return 8; }

  void encode(const ExecutionSpace& exec, const codec::Context& c, ConstMatrix<T> x,
              codec::Message& message) override {
    state_.note("encode", c);
    const std::vector<std::int32_t> ids = recording::ids_of(exec, c);
    auto z = to_host(exec, x);
    state_.add_anchors(exec, z, ids);
    recording::Bytes bytes(sizeof(recording::Header) + 4 * ids.size() + 4 + z.span() * sizeof(T));
    bytes.put(recording::Header{c.micro_batch, c.weight_version});
    for (const std::int32_t id : ids) bytes.put(id);
    bytes.put(state_.exponent_);
    for (std::size_t i = 0; i < z.span(); ++i) bytes.put(static_cast<T>(z.data()[i] * state_.scale()));
    bytes.store(exec, message);
    message.header_size = sizeof(recording::Header);
    message.sync_size = 4;
    if (c.training) state_.keep(c, state_.scale(), ids);
  }

  void decode_gradient(const ExecutionSpace& exec, const codec::Context& c, const codec::Message& message,
                       const Matrix<T>& dx) override {
    state_.note("decode_gradient", c);
    const auto kept = state_.take(c);
    recording::Bytes bytes(exec, message);
    auto g = to_host(exec, dx);
    for (std::size_t i = 0; i < g.span(); ++i) g.data()[i] = static_cast<T>(bytes.take<T>() * kept.scale);
    to_device(exec, dx, g);
    state_.add_gradient(exec, g, kept.ids);
  }

  void receive_sync_up(const ExecutionSpace& exec, const codec::Message& message) override {
    state_.note("receive_sync_up");
    state_.decoded_ = recording::Bytes(exec, message).take<std::int64_t>();
  }
  void update(const ExecutionSpace&, const codec::UpdateInfo& info) override {
    state_.note("update");
    if (synchronises(info.step)) state_.exponent_ = static_cast<int>(state_.decoded_ % 3) - 1;
  }
  void send_sync_down(const ExecutionSpace& exec, codec::Message& message) override {
    state_.note("send_sync_down");
    recording::Bytes bytes(4);
    bytes.put(state_.exponent_);
    bytes.store(exec, message);
  }
  void save(const ExecutionSpace& exec, io::Group group) const override { state_.save(exec, group); }
  bool load(const ExecutionSpace&, const io::Group& group) override {
    state_.load(group);
    return true;
  }

  double scale() const { return state_.scale(); }

 private:
  recording::EndState<T> state_;
};

template <class T>
class RecordingReceiver : public codec::Receiver<T> {
 public:
  RecordingReceiver(const codec::BoundaryShape& shape, HookLog& log) : state_(shape, "receiver", log) {}

  void add_parameters(model::ParameterLayout& layout) override { state_.add_parameters(layout); }
  void lend(const model::ParameterLayout& layout, const Vector<T>& weights,
            const Vector<T>& gradients) override {
    state_.note("lend");
    state_.lend(layout, weights, gradients);
  }
  bool synchronises(std::int64_t step) const override { return recording::every_second(step); }
  std::int64_t state_bytes() const override { return 8; }

  void decode(const ExecutionSpace& exec, const codec::Context& c, const codec::Message& message,
              const Matrix<T>& x) override {
    state_.note("decode", c);
    recording::Bytes bytes(exec, message);
    const auto header = bytes.take<recording::Header>();
    ensure(header.micro_batch == c.micro_batch, "a message belongs to its micro-batch");
    ensure(header.version == c.weight_version, "a message names its sender's weights");
    std::vector<std::int32_t> ids(c.ids.extent(0));
    auto all_ids = to_host(exec, c.ids);
    for (std::size_t t = 0; t < ids.size(); ++t) all_ids(t) = ids[t] = bytes.take<std::int32_t>();
    to_device(exec, c.ids, all_ids);
    const int exponent = bytes.take<int>();
    ensure(exponent == state_.exponent_, "both ends use the same scale");
    auto out = to_host(exec, x);
    for (std::size_t i = 0; i < out.span(); ++i)
      out.data()[i] = static_cast<T>(bytes.take<T>() / state_.scale());
    state_.add_anchors(exec, out, ids);
    to_device(exec, x, out);
    if (!c.training) return;
    ++state_.decoded_;
    state_.keep(c, state_.scale(), ids);
  }

  void encode_gradient(const ExecutionSpace& exec, const codec::Context& c, ConstMatrix<T> dx,
                       codec::Message& message) override {
    state_.note("encode_gradient", c);
    const auto kept = state_.take(c);
    const auto g = to_host(exec, dx);
    recording::Bytes bytes(g.span() * sizeof(T));
    for (std::size_t i = 0; i < g.span(); ++i) bytes.put(static_cast<T>(g.data()[i] / kept.scale));
    bytes.store(exec, message);
    state_.add_gradient(exec, g, kept.ids);
  }

  void send_sync_up(const ExecutionSpace& exec, codec::Message& message) override {
    state_.note("send_sync_up");
    recording::Bytes bytes(8);
    bytes.put(state_.decoded_);
    bytes.store(exec, message);
  }
  void update(const ExecutionSpace&, const codec::UpdateInfo&) override { state_.note("update"); }
  void receive_sync_down(const ExecutionSpace& exec, const codec::Message& message) override {
    state_.note("receive_sync_down");
    state_.exponent_ = recording::Bytes(exec, message).take<int>();
  }
  void save(const ExecutionSpace& exec, io::Group group) const override { state_.save(exec, group); }
  bool load(const ExecutionSpace&, const io::Group& group) override {
    state_.load(group);
    return true;
  }

  double scale() const { return state_.scale(); }

 private:
  recording::EndState<T> state_;
};

template <class T>
class RecordingCodec : public codec::Codec<T> {
 public:
  explicit RecordingCodec(HookLog& log) : log_(log) {}

  codec::MessageBounds bounds(const codec::BoundaryShape& shape) const override {
    const std::int64_t numbers = shape.tokens * shape.hidden * static_cast<std::int64_t>(sizeof(T));
    const auto header = static_cast<std::int64_t>(sizeof(recording::Header));
    return {.forward = header + 4 * shape.tokens + 4 + numbers,
            .backward = numbers,
            .sync_up = 8,
            .sync_down = 4};
  }
  std::unique_ptr<codec::Sender<T>> sender(const ExecutionSpace&,
                                           const codec::BoundaryShape& shape) const override {
    return std::make_unique<RecordingSender<T>>(shape, log_);
  }
  std::unique_ptr<codec::Receiver<T>> receiver(const ExecutionSpace&,
                                               const codec::BoundaryShape& shape) const override {
    return std::make_unique<RecordingReceiver<T>>(shape, log_);
  }

 private:
  HookLog& log_;
};

}  // namespace strait::test
