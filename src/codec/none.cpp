#include "strait/codec/none.hpp"

namespace strait::codec {
namespace {

template <class T>
class NoneSender : public Sender<T> {
 public:
  explicit NoneSender(Wire wire) : wire_(wire) {}

  void encode(const ExecutionSpace& exec, const Context&, ConstMatrix<T> x, Message& message) override {
    message.size = pack<T>(exec, message.bytes, 0, x, wire_);
  }
  void decode_gradient(const ExecutionSpace& exec, const Context&, const Message& message,
                       const Matrix<T>& dx) override {
    unpack(exec, dx, message.bytes, 0, wire_);
  }

 private:
  Wire wire_;
};

template <class T>
class NoneReceiver : public Receiver<T> {
 public:
  explicit NoneReceiver(Wire wire) : wire_(wire) {}

  void decode(const ExecutionSpace& exec, const Context&, const Message& message,
              const Matrix<T>& x) override {
    unpack(exec, x, message.bytes, 0, wire_);
  }
  void encode_gradient(const ExecutionSpace& exec, const Context&, ConstMatrix<T> dx,
                       Message& message) override {
    message.size = pack<T>(exec, message.bytes, 0, dx, wire_);
  }

 private:
  Wire wire_;
};

}  // namespace

template <class T>
MessageBounds NoneCodec<T>::bounds(const BoundaryShape& shape) const {
  const std::int64_t bytes = shape.tokens * shape.hidden * wire_bytes(wire_);
  return {.forward = bytes, .backward = bytes, .sync_up = 0, .sync_down = 0};
}

template <class T>
std::unique_ptr<Sender<T>> NoneCodec<T>::sender(const ExecutionSpace&, const BoundaryShape&) const {
  return std::make_unique<NoneSender<T>>(wire_);
}

template <class T>
std::unique_ptr<Receiver<T>> NoneCodec<T>::receiver(const ExecutionSpace&, const BoundaryShape&) const {
  return std::make_unique<NoneReceiver<T>>(wire_);
}

template class NoneCodec<float>;
template class NoneCodec<double>;

}  // namespace strait::codec
