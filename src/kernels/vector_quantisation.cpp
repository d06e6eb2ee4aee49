#include "strait/kernels/vector_quantisation.hpp"

#include "strait/core/error.hpp"
#include "strait/core/scratch.hpp"

namespace strait::kernels {
namespace {

/// Tokens of one work item: a tile on a host, where they fill vectors; one per thread elsewhere.
constexpr int lanes = host_accessible ? tile_tokens : 1;
/// Codewords of one pass over a group's columns: as many scores a lane as registers hold.
constexpr int block = 8;

/// Half the squared length of each codeword.
template <class T>
Vector<T> half_squares(const ExecutionSpace& exec, const ConstMatrix<T>& codewords) {
  const auto out = scratch<T>("strait::vector_quantisation::half_squares", codewords.extent(0));
  const int width = static_cast<int>(codewords.extent(1));
  Kokkos::parallel_for(
      "strait::vector_quantisation::half_squares", RangePolicy(exec, 0, codewords.extent(0)),
      KOKKOS_LAMBDA(std::int64_t k) {
        constexpr int parts = 8;  // independent sums, which vectorise
        const T* const code = &codewords(k, 0);
        T sums[parts] = {};
        int d = 0;
        for (; d + parts <= width; d += parts) {
          for (int p = 0; p < parts; ++p) sums[p] += code[d + p] * code[d + p];
        }
        for (; d < width; ++d) sums[0] += code[d] * code[d];
        T sum = 0;
        for (int p = 0; p < parts; ++p) sum += sums[p];
        out(k) = T(0.5) * sum;
      });
  return out;
}

/// The smallest distance |z - c| is the largest c.z - |c|^2 / 2. Tokens lie side by side, so that a product
/// of a tile with a block of codewords stays in registers and the maximum needs no reduction across lanes.
template <class T>
struct Search {
  CodeIndices indices;
  Matrix<T> residuals;
  Kokkos::View<const T**, Kokkos::LayoutRight, MemorySpace> codewords;
  Kokkos::View<const T*, Kokkos::LayoutRight, MemorySpace> halves;
  CodebookShape shape;
  std::int64_t tokens;
  bool subtract;

  /// Scores of `count` codewords against the lanes; keeps the best.
  template <int count>
  KOKKOS_INLINE_FUNCTION void match(const T* z, int group, int first, T* best, T* which) const {
    const std::int64_t row = std::int64_t{group} * shape.codewords + first;
    const int width = shape.width;
    const T* const code = &codewords(row, 0);
    const T* const half = &halves(row);
    T score[count][lanes];
    for (int c = 0; c < count; ++c) {
      for (int l = 0; l < lanes; ++l) score[c][l] = -half[c];
    }
    for (int d = 0; d < width; ++d) {
      for (int c = 0; c < count; ++c) {
        const T value = code[c * width + d];
        for (int l = 0; l < lanes; ++l) score[c][l] += value * z[d * tile_tokens + l];
      }
    }
    for (int c = 0; c < count; ++c) {
      const T index = static_cast<T>(first + c);
      for (int l = 0; l < lanes; ++l) {
        const bool better = score[c][l] > best[l];
        best[l] = better ? score[c][l] : best[l];
        which[l] = better ? index : which[l];
      }
    }
  }

  KOKKOS_FUNCTION void operator()(std::int64_t item) const {
    constexpr int parts = tile_tokens / lanes;
    const std::int64_t tiles = (tokens + tile_tokens - 1) / tile_tokens;
    const int part = static_cast<int>(item % parts);
    const std::int64_t tile = item / parts % tiles;
    const int group = static_cast<int>(item / parts / tiles);
    const int first_lane = part * lanes;
    T* const z = &residuals(tile * shape.columns() + std::int64_t{group} * shape.width, first_lane);
    T best[lanes], which[lanes];
    for (int l = 0; l < lanes; ++l) {
      best[l] = -Kokkos::reduction_identity<T>::min();
      which[l] = T(0);
    }
    int first = 0;
    for (; first + block <= shape.codewords; first += block) match<block>(z, group, first, best, which);
    for (; first < shape.codewords; ++first) match<1>(z, group, first, best, which);
    const std::int64_t begin = tile * tile_tokens + first_lane;
    for (int l = 0; l < lanes; ++l) {
      if (begin + l < tokens) indices(group, begin + l) = static_cast<std::uint16_t>(which[l]);
    }
    if (!subtract) return;
    for (int l = 0; l < lanes; ++l) {
      if (begin + l >= tokens) break;
      const T* const code = &codewords(std::int64_t{group} * shape.codewords + static_cast<int>(which[l]), 0);
      for (int d = 0; d < shape.width; ++d) z[d * tile_tokens + l] -= code[d];
    }
  }
};

}  // namespace

template <class T>
Matrix<T> make_tiles(std::int64_t tokens, std::int64_t columns) {
  return Matrix<T>(Kokkos::view_alloc(Kokkos::WithoutInitializing, "strait::vector_quantisation::tiles"),
                   tile_count(tokens) * columns, tile_tokens);
}

template <class T>
void to_tiles(const ExecutionSpace& exec, const Matrix<T>& tiles, ConstMatrix<T> x) {
  const std::int64_t tokens = x.extent(0), columns = x.extent(1);
  ensure(static_cast<std::int64_t>(tiles.extent(0)) == tile_count(tokens) * columns,
         "to_tiles: extents do not match");
  Kokkos::parallel_for(
      "strait::vector_quantisation::to_tiles", RangePolicy(exec, 0, tiles.extent(0)),
      KOKKOS_LAMBDA(std::int64_t row) {
        const std::int64_t begin = row / columns * tile_tokens, column = row % columns;
        for (int l = 0; l < tile_tokens; ++l)
          tiles(row, l) = begin + l < tokens ? x(begin + l, column) : T(0);
      });
}

template <class T>
void from_tiles(const ExecutionSpace& exec, const Matrix<T>& x, const Matrix<T>& tiles, double beta) {
  const std::int64_t tokens = x.extent(0), columns = x.extent(1);
  ensure(static_cast<std::int64_t>(tiles.extent(0)) == tile_count(tokens) * columns,
         "from_tiles: extents do not match");
  const T factor = static_cast<T>(beta);
  Kokkos::parallel_for(
      "strait::vector_quantisation::from_tiles", RangePolicy(exec, 0, tokens * columns),
      KOKKOS_LAMBDA(std::int64_t entry) {
        const std::int64_t token = entry / columns, column = entry % columns;
        const T value = tiles(token / tile_tokens * columns + column, token % tile_tokens);
        x(token, column) = factor == T(0) ? value : factor * x(token, column) + value;
      });
}

template <class T>
void nearest_codewords(const ExecutionSpace& exec, const CodeIndices& indices, const Matrix<T>& residuals,
                       ConstMatrix<T> codewords, const CodebookShape& shape, Residual residual) {
  const std::int64_t tokens = indices.extent(1), tiles = tile_count(tokens);
  ensure(static_cast<int>(indices.extent(0)) == shape.groups &&
             static_cast<std::int64_t>(residuals.extent(0)) == tiles * shape.columns() &&
             static_cast<std::int64_t>(codewords.extent(0)) == shape.all_codewords() &&
             static_cast<int>(codewords.extent(1)) == shape.width && codewords.span_is_contiguous(),
         "nearest_codewords: extents do not match");
  Kokkos::parallel_for("strait::vector_quantisation::search",
                       RangePolicy(exec, 0, tiles * shape.groups * (tile_tokens / lanes)),
                       Search<T>{indices, residuals, codewords, half_squares<T>(exec, codewords), shape,
                                 tokens, residual == Residual::subtract});
}

template <class T>
void add_codewords(const ExecutionSpace& exec, const Matrix<T>& residuals, const CodeIndices& indices,
                   ConstMatrix<T> codewords, const CodebookShape& shape) {
  const std::int64_t tokens = indices.extent(1);
  Kokkos::parallel_for(
      "strait::vector_quantisation::add_codewords", RangePolicy(exec, 0, tokens * shape.groups),
      KOKKOS_LAMBDA(std::int64_t item) {
        const std::int64_t token = item % tokens, group = item / tokens;
        const std::int64_t row = token / tile_tokens * shape.columns() + group * shape.width;
        const std::int64_t code = group * shape.codewords + indices(group, token);
        for (int d = 0; d < shape.width; ++d) residuals(row + d, token % tile_tokens) += codewords(code, d);
      });
}

#define STRAIT_INSTANTIATE(T)                                                                     \
  template Matrix<T> make_tiles<T>(std::int64_t, std::int64_t);                                   \
  template void to_tiles<T>(const ExecutionSpace&, const Matrix<T>&, ConstMatrix<T>);             \
  template void from_tiles<T>(const ExecutionSpace&, const Matrix<T>&, const Matrix<T>&, double); \
  template void nearest_codewords<T>(const ExecutionSpace&, const CodeIndices&, const Matrix<T>&, \
                                     ConstMatrix<T>, const CodebookShape&, Residual);             \
  template void add_codewords<T>(const ExecutionSpace&, const Matrix<T>&, const CodeIndices&,     \
                                 ConstMatrix<T>, const CodebookShape&);
STRAIT_INSTANTIATE(float)
STRAIT_INSTANTIATE(double)
#undef STRAIT_INSTANTIATE

}  // namespace strait::kernels
