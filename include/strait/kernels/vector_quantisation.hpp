#pragma once
// Grouped vector quantisation: the columns of x [tokens, groups * width] are cut into groups, each with
// `codewords` codewords of its own, and each group of a token stands for the nearest of them. Residual rounds
// quantise what the rounds before have left.

#include "strait/core/tensor.hpp"

namespace strait::kernels {

/// One round. Its codewords are rows [groups * codewords, width], group by group; its indices are
/// [groups, tokens]; its counts are [groups * codewords].
struct CodebookShape {
  int groups = 1;
  int codewords = 2;  ///< per group, 2 to 65,536
  int width = 1;

  KOKKOS_FUNCTION int columns() const { return groups * width; }
  KOKKOS_FUNCTION std::int64_t all_codewords() const { return std::int64_t{groups} * codewords; }
};

using CodeIndices = Matrix<std::uint16_t>;

/// Residuals lie in tiles of this many tokens, side by side: [tiles * columns, tile_tokens], tile by tile.
/// Tokens beyond the last are zero.
inline constexpr int tile_tokens = 32;

inline std::int64_t tile_count(std::int64_t tokens) { return (tokens + tile_tokens - 1) / tile_tokens; }

/// Uninitialised tiles for x [tokens, columns].
template <class T>
Matrix<T> make_tiles(std::int64_t tokens, std::int64_t columns);

/// tiles = x [tokens, columns].
template <class T>
void to_tiles(const ExecutionSpace& exec, const Matrix<T>& tiles, ConstMatrix<T> x);

/// x [tokens, columns] = beta * x + tiles; 0 never reads x.
template <class T>
void from_tiles(const ExecutionSpace& exec, const Matrix<T>& x, const Matrix<T>& tiles, double beta = 0.0);

enum class Residual { keep, subtract };

/// indices [groups, tokens]: the codeword at the smallest Euclidean distance, the lowest of equals. With
/// Residual::subtract the codewords found are subtracted from `residuals`.
template <class T>
void nearest_codewords(const ExecutionSpace& exec, const CodeIndices& indices, const Matrix<T>& residuals,
                       ConstMatrix<T> codewords, const CodebookShape& shape, Residual residual);

/// residuals += the codewords at `indices`.
template <class T>
void add_codewords(const ExecutionSpace& exec, const Matrix<T>& residuals, const CodeIndices& indices,
                   ConstMatrix<T> codewords, const CodebookShape& shape);

}  // namespace strait::kernels
