#pragma once
// Pipelines whose model is held in a subspace, and access to their ends.

#include "../../src/codec/subspace_ends.hpp"
#include "support/pipelines.hpp"

namespace strait::test {

/// What the tests use of [codec]: rank 6 of tiny_llama's 16.
template <class T>
codec::SubspaceOptions subspace(std::int64_t grassmann_interval = 0) {
  codec::SubspaceOptions options;
  options.rank = 6;
  options.wire = codec::exact_wire<T>;
  options.table_deviation = 0.5;
  options.grassmann_interval = grassmann_interval;
  options.grassmann_rate = 0.1;
  return options;
}

template <class T>
codec::SubspaceSender<T>& subspace_sender(pipeline::Pipeline<T>& pipeline, int boundary) {
  return dynamic_cast<codec::SubspaceSender<T>&>(*pipeline.executors()[boundary]->units()[0].sender());
}

template <class T>
codec::SubspaceReceiver<T>& subspace_receiver(pipeline::Pipeline<T>& pipeline, int boundary) {
  return dynamic_cast<codec::SubspaceReceiver<T>&>(
      *pipeline.executors()[boundary + 1]->units()[0].receiver());
}

/// The subspace of an emulated stage.
template <class T>
codec::StageSubspace<T>& subspace_of(pipeline::Pipeline<T>& pipeline, int stage) {
  auto& unit = *pipeline.executors()[stage];
  return unit.units()[0].sender() ? *subspace_sender(pipeline, stage).subspace()
                                  : *subspace_receiver(pipeline, stage - 1).subspace();
}

/// What of `m`, of its norm, does not lie in span(U): rows of m, or columns.
template <class T>
double share_outside(const ExecutionSpace& exec, const Matrix<T>& m, const Matrix<T>& basis,
                     model::Confinement confinement) {
  const auto values = to_host(exec, m);
  const auto u = to_host(exec, basis);
  const bool along_rows = confinement == model::Confinement::rows;
  const std::size_t vectors = m.extent(along_rows ? 0 : 1), length = m.extent(along_rows ? 1 : 0);
  double outside = 0.0, whole = 0.0;
  for (std::size_t v = 0; v < vectors; ++v) {
    std::vector<double> rest(length);
    for (std::size_t i = 0; i < length; ++i) rest[i] = along_rows ? values(v, i) : values(i, v);
    for (const double x : rest) whole += x * x;
    for (std::size_t k = 0; k < u.extent(1); ++k) {
      double coordinate = 0.0;
      for (std::size_t i = 0; i < length; ++i) coordinate += rest[i] * static_cast<double>(u(i, k));
      for (std::size_t i = 0; i < length; ++i) rest[i] -= coordinate * static_cast<double>(u(i, k));
    }
    for (const double x : rest) outside += x * x;
  }
  return whole > 0.0 ? std::sqrt(outside / whole) : 0.0;
}

/// The confined model with boundaries that send every number, forward and back.
template <class T>
class UncompressedSender : public codec::SubspaceSender<T> {
 public:
  using codec::SubspaceSender<T>::SubspaceSender;
  void encode(const ExecutionSpace& exec, const codec::Context&, ConstMatrix<T> x,
              codec::Message& message) override {
    message.size = codec::pack<T>(exec, message.bytes, 0, x, codec::exact_wire<T>);
  }
  void decode_gradient(const ExecutionSpace& exec, const codec::Context&, const codec::Message& message,
                       const Matrix<T>& dx) override {
    codec::unpack<T>(exec, dx, message.bytes, 0, codec::exact_wire<T>);
  }
};

template <class T>
class UncompressedReceiver : public codec::SubspaceReceiver<T> {
 public:
  using codec::SubspaceReceiver<T>::SubspaceReceiver;
  void decode(const ExecutionSpace& exec, const codec::Context&, const codec::Message& message,
              const Matrix<T>& x) override {
    codec::unpack<T>(exec, x, message.bytes, 0, codec::exact_wire<T>);
  }
  void encode_gradient(const ExecutionSpace& exec, const codec::Context&, ConstMatrix<T> dx,
                       codec::Message& message) override {
    message.size = codec::pack<T>(exec, message.bytes, 0, dx, codec::exact_wire<T>);
  }
};

template <class T>
class UncompressedSubspaceCodec : public codec::SubspaceCodec<T> {
 public:
  explicit UncompressedSubspaceCodec(const codec::SubspaceOptions& options)
      : codec::SubspaceCodec<T>(options), options_(options) {}
  codec::MessageBounds bounds(const codec::BoundaryShape& shape) const override {
    return exact_codec<T>().bounds(shape);
  }
  std::unique_ptr<codec::Sender<T>> sender(const ExecutionSpace& exec,
                                           const codec::BoundaryShape& shape) const override {
    return std::make_unique<UncompressedSender<T>>(exec, options_, shape);
  }
  std::unique_ptr<codec::Receiver<T>> receiver(const ExecutionSpace& exec,
                                               const codec::BoundaryShape& shape) const override {
    return std::make_unique<UncompressedReceiver<T>>(exec, options_, shape);
  }

 private:
  codec::SubspaceOptions options_;
};

}  // namespace strait::test
