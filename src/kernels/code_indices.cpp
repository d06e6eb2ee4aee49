#include "strait/kernels/code_indices.hpp"

#include "strait/core/error.hpp"

#include <bit>

namespace strait::kernels {
namespace {

/// Index `i` of a stream.
KOKKOS_INLINE_FUNCTION std::uint32_t read_index(const std::uint8_t* stream, std::int64_t i, int bits) {
  const std::int64_t bit = i * bits;
  const std::uint8_t* const from = stream + bit / 8;
  const int shift = static_cast<int>(bit % 8);
  std::uint32_t value = from[0];
  if (shift + bits > 8) value |= std::uint32_t{from[1]} << 8;
  if (shift + bits > 16) value |= std::uint32_t{from[2]} << 16;
  return value >> shift & ((std::uint32_t{1} << bits) - 1);
}

}  // namespace

int index_bits(int codewords) { return std::bit_width(static_cast<unsigned>(codewords - 1)); }

std::int64_t packed_index_bytes(std::int64_t count, int codewords) {
  return (count * index_bits(codewords) + 7) / 8;
}

std::int64_t pack_indices(const ExecutionSpace& exec, const Vector<std::uint8_t>& bytes, std::int64_t offset,
                          const CodeIndices& indices, const CodebookShape& shape) {
  const std::int64_t per_token = indices.extent(0), groups = shape.groups;
  const std::int64_t rounds = per_token / groups, count = per_token * indices.extent(1);
  const std::int64_t end = offset + packed_index_bytes(count, shape.codewords);
  ensure(end <= static_cast<std::int64_t>(bytes.extent(0)), "indices fit their message");
  const int bits = index_bits(shape.codewords);
  // Eight indices are a whole number of bytes, which nobody else writes.
  constexpr int bundle = 8;
  Kokkos::parallel_for(
      "strait::code_indices::pack", RangePolicy(exec, 0, (count + bundle - 1) / bundle),
      KOKKOS_LAMBDA(std::int64_t item) {
        std::uint8_t* to = &bytes(offset) + item * bits;
        const std::int64_t first = item * bundle;
        const std::int64_t last = first + bundle < count ? first + bundle : count;
        std::uint32_t pending = 0;
        int filled = 0;
        for (std::int64_t i = first; i < last; ++i) {
          const std::int64_t token = i / per_token, group = i % per_token / rounds, round = i % rounds;
          pending |= std::uint32_t{indices(round * groups + group, token)} << filled;
          for (filled += bits; filled >= 8; filled -= 8) {
            *to++ = static_cast<std::uint8_t>(pending);
            pending >>= 8;
          }
        }
        if (filled > 0) *to = static_cast<std::uint8_t>(pending);
      });
  return end;
}

template <class T>
std::int64_t gather_codewords(const ExecutionSpace& exec, const Matrix<T>& x,
                              const Vector<std::uint8_t>& bytes, std::int64_t offset,
                              ConstMatrix<T> codewords, const CodebookShape& shape, int rounds) {
  const std::int64_t tokens = x.extent(0), groups = shape.groups;
  const std::int64_t end = offset + packed_index_bytes(tokens * groups * rounds, shape.codewords);
  ensure(static_cast<int>(x.extent(1)) == shape.columns() &&
             static_cast<std::int64_t>(codewords.extent(0)) >= rounds * shape.all_codewords() &&
             static_cast<int>(codewords.extent(1)) == shape.width &&
             end <= static_cast<std::int64_t>(bytes.extent(0)),
         "gather_codewords: extents do not match");
  const int bits = index_bits(shape.codewords), width = shape.width;
  const std::int64_t highest = shape.codewords - 1, stride = shape.codewords;
  Kokkos::parallel_for(
      "strait::code_indices::gather", RangePolicy(exec, 0, tokens * groups),
      KOKKOS_LAMBDA(std::int64_t item) {
        const std::int64_t token = item / groups, group = item % groups;
        T* const to = &x(token, group * width);
        for (int round = 0; round < rounds; ++round) {
          const std::int64_t index = read_index(&bytes(offset), item * rounds + round, bits);
          // What a damaged message says must not lead outside the codebook.
          const std::int64_t code = index < highest ? index : highest;
          const T* const from = &codewords((round * groups + group) * stride + code, 0);
          if (round == 0) {
            for (int d = 0; d < width; ++d) to[d] = from[d];
          } else {
            for (int d = 0; d < width; ++d) to[d] += from[d];
          }
        }
      });
  return end;
}

template std::int64_t gather_codewords<float>(const ExecutionSpace&, const Matrix<float>&,
                                              const Vector<std::uint8_t>&, std::int64_t, ConstMatrix<float>,
                                              const CodebookShape&, int);
template std::int64_t gather_codewords<double>(const ExecutionSpace&, const Matrix<double>&,
                                               const Vector<std::uint8_t>&, std::int64_t, ConstMatrix<double>,
                                               const CodebookShape&, int);

}  // namespace strait::kernels
