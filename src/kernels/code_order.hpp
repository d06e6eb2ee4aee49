#pragma once
// Tokens grouped by codeword.

#include "strait/kernels/vector_quantisation.hpp"

namespace strait::kernels {

/// Counting sort of each group's tokens by codeword. Within a codeword tokens ascend, whatever the threads.
struct CodeOrder {
  using Integers = Kokkos::View<std::int32_t*, Kokkos::LayoutRight, MemorySpace>;
  Integers tokens;  ///< [groups * tokens]
  Integers ends;    ///< [groups * codewords * chunks]: after the last chunk, one past a codeword's last
  int chunks = 1;

  KOKKOS_INLINE_FUNCTION std::int32_t begin(std::int64_t code) const { return code == 0 ? 0 : end(code - 1); }
  KOKKOS_INLINE_FUNCTION std::int32_t end(std::int64_t code) const { return ends((code + 1) * chunks - 1); }
};

CodeOrder sort_by_code(const ExecutionSpace& exec, const CodeIndices& indices, const CodebookShape& shape);

}  // namespace strait::kernels
