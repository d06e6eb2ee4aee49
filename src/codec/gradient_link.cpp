#include "gradient_link.hpp"

#include "strait/codec/quantised.hpp"

namespace strait::codec {
namespace {

bool is_int8(const ProjectionOptions& options) {
  return options.rvq && options.rvq->backward == GradientFormat::int8;
}

bool is_rvq(const ProjectionOptions& options) {
  return options.rvq && options.rvq->backward == GradientFormat::rvq;
}

/// Of numbers that travel as such.
Wire number_wire(const ProjectionOptions& options) { return options.rvq ? Wire::bfloat16 : options.wire; }

QuantisedOptions int8_options(const ProjectionOptions& options) {
  return {.bits = 8, .group_size = 64, .wire = options.wire};
}

RvqChannel channel_of(const ProjectionOptions& options, const BoundaryShape& shape) {
  return {*options.rvq,
          shape,
          options.rank,
          options.wire,
          0,
          payload_bytes(options, shape),
          RvqChannel::Direction::backward};
}

}  // namespace

std::int64_t gradient_bytes(const ProjectionOptions& options, std::int64_t tokens) {
  if (is_rvq(options)) return rvq_index_bytes(*options.rvq, tokens);
  if (is_int8(options)) return quantised_bytes(int8_options(options), tokens, options.rank);
  return tokens * options.rank * wire_bytes(number_wire(options));
}

template <class T>
GradientEncoder<T>::GradientEncoder(const ProjectionOptions& options, const BoundaryShape& shape)
    : options_(options) {
  if (is_rvq(options)) quantiser_.emplace(channel_of(options, shape));
}

template <class T>
void GradientEncoder<T>::encode(const ExecutionSpace& exec, const Context& context, ConstMatrix<T> dz,
                                Message& message) {
  if (quantiser_) {
    quantiser_->encode(exec, context, dz, message);
  } else if (is_int8(options_)) {
    message.size = quantise<T>(exec, message.bytes, dz, int8_options(options_));
  } else {
    message.size = pack<T>(exec, message.bytes, 0, dz, number_wire(options_));
  }
}

template <class T>
void GradientEncoder<T>::update(const ExecutionSpace& exec) {
  if (quantiser_) quantiser_->update(exec);
}

template <class T>
std::int64_t GradientEncoder<T>::bytes_needed(const ProjectionOptions& options, const BoundaryShape& shape) {
  return is_rvq(options) ? RvqEncoder<T>::bytes_needed(channel_of(options, shape)) : 0;
}

template <class T>
void GradientEncoder<T>::save(const ExecutionSpace& exec, io::Group group) const {
  if (quantiser_) quantiser_->save(exec, group.create_group(gradient_codebook));
}

template <class T>
void GradientEncoder<T>::load(const ExecutionSpace& exec, const io::Group& group) {
  if (quantiser_ && group.has(gradient_codebook)) quantiser_->load(exec, group.group(gradient_codebook));
}

template <class T>
GradientDecoder<T>::GradientDecoder(const ProjectionOptions& options, const BoundaryShape& shape)
    : options_(options) {
  if (is_rvq(options)) quantiser_.emplace(channel_of(options, shape));
}

template <class T>
void GradientDecoder<T>::decode(const ExecutionSpace& exec, const Context& context, const Message& message,
                                const Matrix<T>& dz) {
  if (quantiser_) {
    quantiser_->decode(exec, context, message, dz);
  } else if (is_int8(options_)) {
    dequantise<T>(exec, dz, message.bytes, int8_options(options_));
  } else {
    unpack<T>(exec, dz, message.bytes, 0, number_wire(options_));
  }
}

template <class T>
std::int64_t GradientDecoder<T>::bytes_needed(const ProjectionOptions& options, const BoundaryShape& shape) {
  return is_rvq(options) ? RvqDecoder<T>::bytes_needed(channel_of(options, shape)) : 0;
}

template <class T>
void GradientDecoder<T>::load(const ExecutionSpace& exec, const io::Group& group) {
  if (quantiser_ && group.has(gradient_codebook)) quantiser_->load(exec, group.group(gradient_codebook));
}

template class GradientEncoder<float>;
template class GradientEncoder<double>;
template class GradientDecoder<float>;
template class GradientDecoder<double>;

}  // namespace strait::codec
