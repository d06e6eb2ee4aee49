#pragma once
// The codec without compression: every number of the residual stream travels, in the format of the wire.

#include "strait/codec/wire.hpp"

namespace strait::codec {

/// Bytes per micro-batch and direction: tokens * hidden * wire_bytes(wire). float32 is exact in single
/// precision, bfloat16 too where stages keep activations in it (`bfloat16_stages`), float64 in double.
template <class T>
class NoneCodec : public Codec<T> {
 public:
  explicit NoneCodec(Wire wire, bool bfloat16_stages = false)
      : wire_(wire), bfloat16_stages_(bfloat16_stages) {}

  bool is_exact() const override { return bfloat16_stages_ || wire_ == exact_wire<T>; }
  MessageBounds bounds(const BoundaryShape& shape) const override;
  std::unique_ptr<Sender<T>> sender(const ExecutionSpace&, const BoundaryShape&) const override;
  std::unique_ptr<Receiver<T>> receiver(const ExecutionSpace&, const BoundaryShape&) const override;

 private:
  Wire wire_;
  bool bfloat16_stages_;
};

extern template class NoneCodec<float>;
extern template class NoneCodec<double>;

}  // namespace strait::codec
