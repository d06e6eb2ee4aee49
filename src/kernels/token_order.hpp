#pragma once
// Positions of tokens grouped by id.

#include "strait/core/tensor.hpp"

namespace strait::kernels {

/// Counting sort of positions by token id. Within an id positions ascend, whatever the threads.
struct TokenOrder {
  using Indices = Kokkos::View<std::int32_t*, Kokkos::LayoutRight, MemorySpace>;
  Indices positions;  ///< [tokens]
  Indices ends;       ///< [vocab] one past the last of an id in `positions`

  KOKKOS_INLINE_FUNCTION std::int32_t begin(std::int32_t id) const { return id == 0 ? 0 : ends(id - 1); }
  KOKKOS_INLINE_FUNCTION std::int32_t end(std::int32_t id) const { return ends(id); }
};

TokenOrder sort_by_token(const ExecutionSpace& exec, const TokenIds& ids, std::int64_t vocab);

}  // namespace strait::kernels
