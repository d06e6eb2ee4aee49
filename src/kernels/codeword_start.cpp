// k-means (Lloyd 1982) from random tokens.
#include "strait/core/error.hpp"
#include "strait/core/host_mirror.hpp"
#include "strait/core/random.hpp"
#include "strait/kernels/codeword_statistics.hpp"

#include <algorithm>
#include <utility>
#include <vector>

namespace strait::kernels {
namespace {

constexpr int iterations = 10;

/// Distinct random tokens for the codewords of every group: those of the smallest random keys.
Vector<std::int64_t> random_tokens(const ExecutionSpace& exec, std::int64_t tokens,
                                   const CodebookShape& shape, const RandomTokens& random) {
  const Vector<std::int64_t> chosen("strait::codeword_start::tokens", shape.all_codewords());
  const auto host = host_like(chosen);
  const Philox draw(random.seed, random.stream);
  const std::uint64_t first = random.index * static_cast<std::uint64_t>(shape.groups * tokens);
  std::vector<std::pair<std::uint64_t, std::int64_t>> keys(static_cast<std::size_t>(tokens));
  for (std::int64_t group = 0; group < shape.groups; ++group) {
    for (std::int64_t t = 0; t < tokens; ++t) {
      keys[static_cast<std::size_t>(t)] = {draw.bits(first + static_cast<std::uint64_t>(group * tokens + t)),
                                           t};
    }
    std::partial_sort(keys.begin(), keys.begin() + shape.codewords, keys.end());
    for (int k = 0; k < shape.codewords; ++k) {
      host(group * shape.codewords + k) = keys[static_cast<std::size_t>(k)].second;
    }
  }
  to_device(exec, chosen, host);
  return chosen;
}

/// Codewords become the means of what is assigned to them; those without any stay.
template <class T>
void set_to_means(const ExecutionSpace& exec, const Matrix<T>& codewords,
                  const CodewordStatistics& assigned) {
  const std::int64_t width = codewords.extent(1);
  Kokkos::parallel_for(
      "strait::codeword_start::means", RangePolicy(exec, 0, static_cast<std::int64_t>(codewords.size())),
      KOKKOS_LAMBDA(std::int64_t entry) {
        const std::int64_t k = entry / width, d = entry % width;
        const double count = assigned.counts(k);
        if (count > 0.0) codewords(k, d) = static_cast<T>(assigned.sums(k, d) / count);
      });
}

}  // namespace

template <class T>
void start_codewords(const ExecutionSpace& exec, const Matrix<T>& codewords,
                     const CodewordStatistics& statistics, const CodeIndices& indices,
                     const Matrix<T>& residuals, const CodebookShape& shape, const RandomTokens& random) {
  const std::int64_t tokens = indices.extent(1);
  ensure(tokens >= shape.codewords, "start_codewords: at least as many tokens as codewords");
  const auto chosen = random_tokens(exec, tokens, shape, random);
  const std::int64_t per_group = shape.codewords, width = shape.width, columns = shape.columns();
  Kokkos::parallel_for(
      "strait::codeword_start::choose", RangePolicy(exec, 0, static_cast<std::int64_t>(codewords.size())),
      KOKKOS_LAMBDA(std::int64_t entry) {
        const std::int64_t k = entry / width, d = entry % width, token = chosen(k);
        codewords(k, d) =
            residuals(token / tile_tokens * columns + k / per_group * width + d, token % tile_tokens);
      });
  for (int iteration = 0; iteration < iterations; ++iteration) {
    nearest_codewords<T>(exec, indices, residuals, codewords, shape, Residual::keep);
    statistics.clear(exec);
    add_statistics<T>(exec, statistics, indices, residuals, codewords, shape, Residual::keep);
    set_to_means<T>(exec, codewords, statistics);
  }
}

#define STRAIT_INSTANTIATE(T)                                                                          \
  template void start_codewords<T>(const ExecutionSpace&, const Matrix<T>&, const CodewordStatistics&, \
                                   const CodeIndices&, const Matrix<T>&, const CodebookShape&,         \
                                   const RandomTokens&);
STRAIT_INSTANTIATE(float)
STRAIT_INSTANTIATE(double)
#undef STRAIT_INSTANTIATE

}  // namespace strait::kernels
