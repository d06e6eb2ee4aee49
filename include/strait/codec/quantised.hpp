#pragma once
// Activations and gradients as small integers: the codecs int8, int4 and int2.
//
// A token's columns are cut into groups of `group_size` consecutive ones, the last shorter where it does not
// divide `hidden`. A group of largest magnitude a is sent as a scale s and an integer q for each entry,
//
//   s = a / L rounded to the format of the wire,   q = x / s rounded to nearest even and cut to -L..L,
//   x' = q s,   L = 127 (int8) or 7 (int4):
//
// symmetric quantisation without a zero point, the usual one (LLM.int8(), arXiv 2208.07339; ZeroQuant,
// arXiv 2206.01861), with the scale that the receiver has, so that |x - x'| <= s / 2. Forward and backward
// are quantised alike, and the gradient of the rounding is taken as one (straight through). Of a group
// with an entry that is not finite, nothing finite arrives; one with a / L below the wire's normal numbers
// arrives as zeros.
//
// Two bits are too few for a level at zero beside one on either side. int2 has four equally spaced ones,
//
//   s = 1.25 mean |x| of the group,   q = x / s - 1/2 rounded to nearest even and cut to -2..1,
//   x' = (q + 1/2) s:
//
// of a normal distribution, with s = 1.25 mean |x| = 0.997 deviations, the four uniform levels of the
// smallest mean squared error (Max, IRE Trans. Inf. Theory 6, 1960: 0.9957).

#include "strait/codec/wire.hpp"

namespace strait::codec {

/// The scale of int2, of the mean magnitude.
inline constexpr double even_levels_scale = 1.25;

struct QuantisedOptions {
  int bits = 8;               ///< 8, 4 or 2; less than 8 share a byte, each as q + 2^(bits - 1)
  int group_size = 64;        ///< a multiple of 8 / bits
  Wire wire = Wire::float32;  ///< of the scales
};

/// Bytes of x [tokens, hidden]: tokens * (ceil(hidden / group_size) * wire_bytes + ceil(hidden * bits / 8)).
std::int64_t quantised_bytes(const QuantisedOptions& options, std::int64_t tokens, int hidden);

/// Writes x [tokens, hidden] at the start of `bytes`, all scales before all integers; returns the offset
/// behind them. In a group of n columns, which fill m bytes, byte i has the columns i, i + m, ... below n,
/// the first in its lowest bits.
template <class T>
std::int64_t quantise(const ExecutionSpace& exec, const Vector<std::uint8_t>& bytes, ConstMatrix<T> x,
                      const QuantisedOptions& options);

/// Reads what `quantise` wrote into x [tokens, hidden].
template <class T>
void dequantise(const ExecutionSpace& exec, const Matrix<T>& x, const Vector<std::uint8_t>& bytes,
                const QuantisedOptions& options);

/// The codecs int8, int4 and int2. They keep nothing between messages but what `diagnose` looks at.
template <class T>
class QuantisedCodec : public Codec<T> {
 public:
  explicit QuantisedCodec(const QuantisedOptions& options) : options_(options) {}

  std::vector<Diagnostic> diagnostics() const override;
  MessageBounds bounds(const BoundaryShape& shape) const override;
  std::unique_ptr<Sender<T>> sender(const ExecutionSpace&, const BoundaryShape&) const override;
  std::unique_ptr<Receiver<T>> receiver(const ExecutionSpace&, const BoundaryShape&) const override;

 private:
  QuantisedOptions options_;
};

/// Reads the keys of codec `name` (int8, int4 or int2).
template <class T>
QuantisedOptions quantised_from_deck(const std::string& name, Table table);

extern template class QuantisedCodec<float>;
extern template class QuantisedCodec<double>;

}  // namespace strait::codec
