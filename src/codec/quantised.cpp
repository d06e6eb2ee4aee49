#include "strait/codec/quantised.hpp"

#include "reconstruction.hpp"

namespace strait::codec {
namespace {

template <class T>
class QuantisedSender : public Sender<T> {
 public:
  explicit QuantisedSender(const QuantisedOptions& options) : options_(options) {}

  void encode(const ExecutionSpace& exec, const Context& context, ConstMatrix<T> x,
              Message& message) override {
    message.size = quantise<T>(exec, message.bytes, x, options_);
    if (context.training) newest_ = x;
  }
  void decode_gradient(const ExecutionSpace& exec, const Context&, const Message& message,
                       const Matrix<T>& dx) override {
    dequantise(exec, dx, message.bytes, options_);
  }
  void load_in_flight(const ExecutionSpace&, const io::Group&,
                      const std::vector<InFlight<T>>& in_flight) override {
    if (!in_flight.empty()) newest_ = in_flight.back().x;
  }

  std::vector<double> diagnose(const ExecutionSpace& exec) override {
    ensure(newest_.data() != nullptr, "a micro-batch was encoded before it is diagnosed");
    const std::int64_t tokens = newest_.extent(0);
    const int hidden = static_cast<int>(newest_.extent(1));
    const Vector<std::uint8_t> bytes("strait::codec::diagnosed_message",
                                     quantised_bytes(options_, tokens, hidden));
    const Matrix<T> found("strait::codec::diagnosed", tokens, hidden);
    quantise<T>(exec, bytes, newest_, options_);
    dequantise(exec, found, bytes, options_);
    return {reconstruction_error<T>(exec, newest_, found)};
  }

 private:
  QuantisedOptions options_;
  ConstMatrix<T> newest_;  ///< what was encoded last in training
};

template <class T>
class QuantisedReceiver : public Receiver<T> {
 public:
  explicit QuantisedReceiver(const QuantisedOptions& options) : options_(options) {}

  void decode(const ExecutionSpace& exec, const Context&, const Message& message,
              const Matrix<T>& x) override {
    dequantise(exec, x, message.bytes, options_);
  }
  void encode_gradient(const ExecutionSpace& exec, const Context&, ConstMatrix<T> dx,
                       Message& message) override {
    message.size = quantise<T>(exec, message.bytes, dx, options_);
  }

 private:
  QuantisedOptions options_;
};

}  // namespace

template <class T>
std::vector<Diagnostic> QuantisedCodec<T>::diagnostics() const {
  return {reconstruction_diagnostic()};
}

template <class T>
MessageBounds QuantisedCodec<T>::bounds(const BoundaryShape& shape) const {
  const std::int64_t bytes = quantised_bytes(options_, shape.tokens, shape.hidden);
  return {.forward = bytes, .backward = bytes, .sync_up = 0, .sync_down = 0};
}

template <class T>
std::unique_ptr<Sender<T>> QuantisedCodec<T>::sender(const ExecutionSpace&, const BoundaryShape&) const {
  return std::make_unique<QuantisedSender<T>>(options_);
}

template <class T>
std::unique_ptr<Receiver<T>> QuantisedCodec<T>::receiver(const ExecutionSpace&, const BoundaryShape&) const {
  return std::make_unique<QuantisedReceiver<T>>(options_);
}

template <class T>
QuantisedOptions quantised_from_deck(const std::string& name, Table table) {
  QuantisedOptions options;
  options.bits = name == "int8" ? 8 : name == "int4" ? 4 : 2;
  options.wire = wire_from_deck<T>(table);
  options.group_size = table.at_least(
      "group_size",
      table.optional<int>("group_size", options.group_size, "columns of a token that share a scale"), 1);
  if (const int per_byte = 8 / options.bits; options.group_size % per_byte != 0) {
    table.reject("group_size",
                 fmt::format("is {}, expected a multiple of {}: as many integers of {} share a byte",
                             options.group_size, per_byte, name));
  }
  return options;
}

#define STRAIT_INSTANTIATE(T)       \
  template class QuantisedCodec<T>; \
  template QuantisedOptions quantised_from_deck<T>(const std::string&, Table);
STRAIT_INSTANTIATE(float)
STRAIT_INSTANTIATE(double)
#undef STRAIT_INSTANTIATE

}  // namespace strait::codec
