#pragma once
// Indices of codewords as a stream of bits: ceil(log2 codewords) bits each, without gaps, the lowest bit
// first. A token's indices lie together, group by group, and of a group round by round.

#include "strait/kernels/vector_quantisation.hpp"

namespace strait::kernels {

/// Bits of an index: 1 for 2 codewords, 16 for 65,536.
int index_bits(int codewords);

/// ceil(count * index_bits / 8).
std::int64_t packed_index_bytes(std::int64_t count, int codewords);

/// Writes indices [rounds * groups, tokens] at `offset` of `bytes`; returns the offset behind them.
std::int64_t pack_indices(const ExecutionSpace& exec, const Vector<std::uint8_t>& bytes, std::int64_t offset,
                          const CodeIndices& indices, const CodebookShape& shape);

/// x [tokens, groups * width] = sum over `rounds` of the codewords [rounds * groups * codewords, width] at
/// the indices that `pack_indices` wrote; returns the offset behind them.
template <class T>
std::int64_t gather_codewords(const ExecutionSpace& exec, const Matrix<T>& x,
                              const Vector<std::uint8_t>& bytes, std::int64_t offset,
                              ConstMatrix<T> codewords, const CodebookShape& shape, int rounds);

}  // namespace strait::kernels
