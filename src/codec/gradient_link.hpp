#pragma once
// The way back across a projected boundary: dZ [tokens, rank] in one of several formats.

#include "strait/codec/projection.hpp"

#include "rvq_decoder.hpp"
#include "rvq_encoder.hpp"

namespace strait::codec {

/// Bytes of a micro-batch's gradients, without what keeps codebooks equal.
std::int64_t gradient_bytes(const ProjectionOptions& options, std::int64_t tokens);

/// Name of the gradients' codebook in a checkpoint.
inline constexpr const char* gradient_codebook = "gradient_codebook";

/// At the receiver of activations.
template <class T>
class GradientEncoder {
 public:
  GradientEncoder(const ProjectionOptions& options, const BoundaryShape& shape);

  void encode(const ExecutionSpace&, const Context&, ConstMatrix<T> dz, Message&);
  void update(const ExecutionSpace&);

  static std::int64_t bytes_needed(const ProjectionOptions& options, const BoundaryShape& shape);
  void save(const ExecutionSpace&, io::Group) const;
  void load(const ExecutionSpace&, const io::Group&);

  const std::optional<RvqEncoder<T>>& quantiser() const { return quantiser_; }

 private:
  ProjectionOptions options_;
  std::optional<RvqEncoder<T>> quantiser_;
};

/// At the sender of activations.
template <class T>
class GradientDecoder {
 public:
  GradientDecoder(const ProjectionOptions& options, const BoundaryShape& shape);

  void decode(const ExecutionSpace&, const Context&, const Message&, const Matrix<T>& dz);

  static std::int64_t bytes_needed(const ProjectionOptions& options, const BoundaryShape& shape);
  void load(const ExecutionSpace&, const io::Group&);

  const std::optional<RvqDecoder<T>>& quantiser() const { return quantiser_; }

 private:
  ProjectionOptions options_;
  std::optional<RvqDecoder<T>> quantiser_;
};

extern template class GradientEncoder<float>;
extern template class GradientEncoder<double>;
extern template class GradientDecoder<float>;
extern template class GradientDecoder<double>;

}  // namespace strait::codec
