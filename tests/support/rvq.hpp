#pragma once
// Boundaries that quantise, and ends that write down their codebooks at every micro-batch.

#include "support/projection.hpp"

#include <map>
#include <utility>

namespace strait::test {

/// 2 groups, 2 rounds, as few codewords as tiny_llama's 12 tokens to a micro-batch allow and more.
inline codec::RvqOptions quantisation(codec::GradientFormat backward = codec::GradientFormat::bfloat16) {
  codec::RvqOptions options;
  options.groups = 2;
  options.rounds = 2;
  options.codewords = 7;
  options.published = 1;
  options.backward = backward;
  options.checksum_interval = 5;
  return options;
}

/// Checksums of a published codebook by (boundary, direction, micro-batch).
struct CodebookLog {
  using Key = std::pair<std::pair<int, bool>, std::int64_t>;
  std::map<Key, std::uint64_t> encoded, decoded;
};

template <class T>
class WatchedSender : public codec::ProjectionSender<T> {
 public:
  using Base = codec::ProjectionSender<T>;
  WatchedSender(const ExecutionSpace& exec, const codec::ProjectionOptions& options,
                const codec::BoundaryShape& shape, CodebookLog& log)
      : Base(exec, options, shape), boundary_(shape.boundary), log_(log) {}

  void encode(const ExecutionSpace& exec, const codec::Context& context, ConstMatrix<T> x,
              codec::Message& message) override {
    Base::encode(exec, context, x, message);
    if (!context.training) return;
    log_.encoded[{{boundary_, false}, context.micro_batch}] = Base::quantiser()->published().checksum(exec);
  }
  void decode_gradient(const ExecutionSpace& exec, const codec::Context& context,
                       const codec::Message& message, const Matrix<T>& dx) override {
    Base::decode_gradient(exec, context, message, dx);
    if (!Base::gradients().quantiser()) return;
    log_.decoded[{{boundary_, true}, context.micro_batch}] =
        Base::gradients().quantiser()->published().checksum(exec);
  }

 private:
  int boundary_;
  CodebookLog& log_;
};

template <class T>
class WatchedReceiver : public codec::ProjectionReceiver<T> {
 public:
  using Base = codec::ProjectionReceiver<T>;
  WatchedReceiver(const ExecutionSpace& exec, const codec::ProjectionOptions& options,
                  const codec::BoundaryShape& shape, CodebookLog& log)
      : Base(exec, options, shape), boundary_(shape.boundary), log_(log) {}

  void decode(const ExecutionSpace& exec, const codec::Context& context, const codec::Message& message,
              const Matrix<T>& x) override {
    Base::decode(exec, context, message, x);
    if (!context.training) return;
    log_.decoded[{{boundary_, false}, context.micro_batch}] = Base::quantiser()->published().checksum(exec);
  }
  void encode_gradient(const ExecutionSpace& exec, const codec::Context& context, ConstMatrix<T> dx,
                       codec::Message& message) override {
    Base::encode_gradient(exec, context, dx, message);
    if (!Base::gradients().quantiser()) return;
    log_.encoded[{{boundary_, true}, context.micro_batch}] =
        Base::gradients().quantiser()->published().checksum(exec);
  }

 private:
  int boundary_;
  CodebookLog& log_;
};

template <class T>
class WatchedCodec : public codec::ProjectionCodec<T> {
 public:
  WatchedCodec(const codec::ProjectionOptions& options, CodebookLog& log)
      : codec::ProjectionCodec<T>(options), options_(options), log_(log) {}
  std::unique_ptr<codec::Sender<T>> sender(const ExecutionSpace& exec,
                                           const codec::BoundaryShape& shape) const override {
    return std::make_unique<WatchedSender<T>>(exec, options_, shape, log_);
  }
  std::unique_ptr<codec::Receiver<T>> receiver(const ExecutionSpace& exec,
                                               const codec::BoundaryShape& shape) const override {
    return std::make_unique<WatchedReceiver<T>>(exec, options_, shape, log_);
  }

 private:
  codec::ProjectionOptions options_;
  CodebookLog& log_;
};

}  // namespace strait::test
