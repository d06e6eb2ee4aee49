#include "code_order.hpp"

#include "strait/core/scratch.hpp"

#include <algorithm>

namespace strait::kernels {
namespace {

/// Chunks of tokens that are counted and placed side by side, each by one work item in order.
int chunk_count(std::int64_t tokens, const CodebookShape& shape) {
  if (host_accessible) return 1;  // groups are enough for a few threads
  constexpr std::int64_t tokens_per_chunk = 64, largest_table = 1 << 22;
  const std::int64_t wanted = (tokens + tokens_per_chunk - 1) / tokens_per_chunk;
  return static_cast<int>(
      std::clamp<std::int64_t>(wanted, 1, std::max<std::int64_t>(1, largest_table / shape.all_codewords())));
}

}  // namespace

CodeOrder sort_by_code(const ExecutionSpace& exec, const CodeIndices& indices, const CodebookShape& shape) {
  const std::int64_t tokens = indices.extent(1), codewords = shape.codewords;
  const std::int64_t chunks = chunk_count(tokens, shape), chunk = (tokens + chunks - 1) / chunks;
  const CodeOrder order{scratch<std::int32_t>("strait::code_order::tokens", shape.groups * tokens),
                        scratch<std::int32_t>("strait::code_order::ends", shape.all_codewords() * chunks),
                        static_cast<int>(chunks)};
  const auto ends = order.ends;
  const auto placed = order.tokens;
  const RangePolicy chunk_policy(exec, 0, shape.groups * chunks);
  Kokkos::deep_copy(exec, ends, 0);
  Kokkos::parallel_for(
      "strait::code_order::count", chunk_policy, KOKKOS_LAMBDA(std::int64_t item) {
        const std::int64_t group = item / chunks, part = item % chunks;
        const std::int64_t last = (part + 1) * chunk < tokens ? (part + 1) * chunk : tokens;
        for (std::int64_t t = part * chunk; t < last; ++t) {
          ++ends((group * codewords + indices(group, t)) * chunks + part);
        }
      });
  Kokkos::parallel_scan(
      "strait::code_order::scan", RangePolicy(exec, 0, ends.extent(0)),
      KOKKOS_LAMBDA(std::int64_t entry, std::int32_t & sum, bool final) {
        const std::int32_t own = ends(entry);
        if (final) ends(entry) = sum;
        sum += own;
      });
  Kokkos::parallel_for(
      "strait::code_order::place", chunk_policy, KOKKOS_LAMBDA(std::int64_t item) {
        const std::int64_t group = item / chunks, part = item % chunks;
        const std::int64_t last = (part + 1) * chunk < tokens ? (part + 1) * chunk : tokens;
        for (std::int64_t t = part * chunk; t < last; ++t) {
          const std::int64_t entry = (group * codewords + indices(group, t)) * chunks + part;
          placed(ends(entry)++) = static_cast<std::int32_t>(t);
        }
      });
  return order;
}

}  // namespace strait::kernels
