#include "strait/codec/top_k.hpp"

#include "strait/io/tensor.hpp"

#include "reconstruction.hpp"

namespace strait::codec {
namespace {

/// What both ends keep of a micro-batch: the columns that travelled.
template <class T>
struct TopKState {
  TopKState(const TopKOptions& options_given, const BoundaryShape& shape_given)
      : options(options_given),
        shape(shape_given),
        layout(options, shape.tokens, shape.hidden),
        columns("strait::codec::top_k_columns", shape.slots + 1, shape.tokens * options.k),
        values("strait::codec::top_k_values", shape.tokens, options.k) {}

  /// Of a micro-batch [tokens * k].
  MutableTokenIds columns_of(const Context& context) const {
    return row(context.training ? context.slot : shape.slots);
  }
  MutableTokenIds row(int slot) const { return Kokkos::subview(columns, slot, Kokkos::ALL()); }
  static std::int64_t bytes(const TopKOptions& options, const BoundaryShape& shape) {
    constexpr std::int64_t column = sizeof(std::int32_t), number = sizeof(T);
    return ((shape.slots + 1) * column + number) * shape.tokens * options.k;
  }

  void save(const ExecutionSpace& exec, io::Group group, const std::vector<InFlight<T>>& in_flight) const {
    for (std::size_t i = 0; i < in_flight.size(); ++i) {
      io::write_tensor(group, std::to_string(i), exec, row(in_flight[i].slot));
    }
  }
  void load(const ExecutionSpace& exec, const io::Group& group,
            const std::vector<InFlight<T>>& in_flight) const {
    for (std::size_t i = 0; i < in_flight.size(); ++i) {
      io::read_tensor(group, std::to_string(i), exec, row(in_flight[i].slot));
    }
  }

  TopKOptions options;
  BoundaryShape shape;
  TopKLayout layout;
  Matrix<std::int32_t> columns;  ///< a row for each slot, the last for evaluation
  Matrix<T> values;              ///< [tokens, k], of the message at hand
};

template <class T>
class TopKSender : public Sender<T> {
 public:
  TopKSender(const TopKOptions& options, const BoundaryShape& shape) : state_(options, shape) {}

  void encode(const ExecutionSpace& exec, const Context& context, ConstMatrix<T> x,
              Message& message) override {
    const MutableTokenIds columns = state_.columns_of(context);
    select_top_k<T>(exec, columns, x, state_.options.k);
    gather_columns<T>(exec, state_.values, x, columns);
    pack<T>(exec, message.bytes, state_.layout.values, state_.values, state_.options.wire);
    pack_ids(exec, message.bytes, state_.layout.columns, columns, state_.shape.hidden);
    message.size = state_.layout.bytes;
    if (!context.training) return;
    newest_ = x;
    newest_columns_ = columns;
  }
  void decode_gradient(const ExecutionSpace& exec, const Context& context, const Message& message,
                       const Matrix<T>& dx) override {
    unpack(exec, state_.values, message.bytes, 0, state_.options.wire);
    scatter_columns<T>(exec, dx, state_.values, state_.columns_of(context));
  }

  std::vector<double> diagnose(const ExecutionSpace& exec) override {
    ensure(newest_.data() != nullptr, "a micro-batch was encoded before it is diagnosed");
    const Vector<std::uint8_t> bytes("strait::codec::diagnosed_message", state_.layout.bytes);
    const Matrix<T> found("strait::codec::diagnosed", state_.shape.tokens, state_.shape.hidden);
    gather_columns<T>(exec, state_.values, newest_, newest_columns_);
    pack<T>(exec, bytes, state_.layout.values, state_.values, state_.options.wire);
    unpack(exec, state_.values, bytes, state_.layout.values, state_.options.wire);
    scatter_columns<T>(exec, found, state_.values, newest_columns_);
    return {reconstruction_error<T>(exec, newest_, found)};
  }
  std::int64_t state_bytes() const override { return TopKState<T>::bytes(state_.options, state_.shape); }
  void save_in_flight(const ExecutionSpace& exec, io::Group group,
                      const std::vector<InFlight<T>>& in_flight) const override {
    state_.save(exec, group, in_flight);
  }
  void load_in_flight(const ExecutionSpace& exec, const io::Group& group,
                      const std::vector<InFlight<T>>& in_flight) override {
    state_.load(exec, group, in_flight);
    if (in_flight.empty()) return;
    newest_ = in_flight.back().x;
    newest_columns_ = state_.row(in_flight.back().slot);
  }

 private:
  TopKState<T> state_;
  ConstMatrix<T> newest_;  ///< what was encoded last in training
  MutableTokenIds newest_columns_;
};

template <class T>
class TopKReceiver : public Receiver<T> {
 public:
  TopKReceiver(const TopKOptions& options, const BoundaryShape& shape) : state_(options, shape) {}

  void decode(const ExecutionSpace& exec, const Context& context, const Message& message,
              const Matrix<T>& x) override {
    const MutableTokenIds columns = state_.columns_of(context);
    unpack(exec, state_.values, message.bytes, state_.layout.values, state_.options.wire);
    unpack_ids(exec, columns, message.bytes, state_.layout.columns, state_.shape.hidden);
    scatter_columns<T>(exec, x, state_.values, columns);
  }
  void encode_gradient(const ExecutionSpace& exec, const Context& context, ConstMatrix<T> dx,
                       Message& message) override {
    gather_columns<T>(exec, state_.values, dx, state_.columns_of(context));
    message.size = pack<T>(exec, message.bytes, 0, state_.values, state_.options.wire);
  }
  std::int64_t state_bytes() const override { return TopKState<T>::bytes(state_.options, state_.shape); }
  void save_in_flight(const ExecutionSpace& exec, io::Group group,
                      const std::vector<InFlight<T>>& in_flight) const override {
    state_.save(exec, group, in_flight);
  }
  void load_in_flight(const ExecutionSpace& exec, const io::Group& group,
                      const std::vector<InFlight<T>>& in_flight) override {
    state_.load(exec, group, in_flight);
  }

 private:
  TopKState<T> state_;
};

}  // namespace

TopKLayout::TopKLayout(const TopKOptions& options, std::int64_t tokens, int hidden) {
  const std::int64_t number = wire_bytes(options.wire), column = id_bytes(hidden);
  values = column > number ? tokens * options.k * column : 0;
  columns = column > number ? 0 : tokens * options.k * number;
  bytes = tokens * options.k * (number + column);
}

template <class T>
std::vector<Diagnostic> TopKCodec<T>::diagnostics() const {
  return {reconstruction_diagnostic()};
}

template <class T>
MessageBounds TopKCodec<T>::bounds(const BoundaryShape& shape) const {
  return {.forward = TopKLayout(options_, shape.tokens, shape.hidden).bytes,
          .backward = shape.tokens * options_.k * wire_bytes(options_.wire),
          .sync_up = 0,
          .sync_down = 0};
}

template <class T>
std::int64_t TopKCodec<T>::bytes_needed(Side, const BoundaryShape& shape, model::ParameterLayout&) const {
  return TopKState<T>::bytes(options_, shape);
}

template <class T>
std::unique_ptr<Sender<T>> TopKCodec<T>::sender(const ExecutionSpace&, const BoundaryShape& shape) const {
  return std::make_unique<TopKSender<T>>(options_, shape);
}

template <class T>
std::unique_ptr<Receiver<T>> TopKCodec<T>::receiver(const ExecutionSpace&, const BoundaryShape& shape) const {
  return std::make_unique<TopKReceiver<T>>(options_, shape);
}

template <class T>
TopKOptions top_k_from_deck(Table table, int hidden) {
  TopKOptions options;
  options.k = table.required<int>("k", "entries of a token that cross the boundary, in each direction");
  if (options.k < 1 || options.k > hidden) {
    table.reject("k", fmt::format("is {}, expected 1 to {}, the model's hidden width, of which it is a part",
                                  options.k, hidden));
  }
  options.wire = wire_from_deck<T>(table);
  return options;
}

#define STRAIT_INSTANTIATE(T)  \
  template class TopKCodec<T>; \
  template TopKOptions top_k_from_deck<T>(Table, int);
STRAIT_INSTANTIATE(float)
STRAIT_INSTANTIATE(double)
#undef STRAIT_INSTANTIATE

}  // namespace strait::codec
