#include "token_order.hpp"

#include "strait/core/scratch.hpp"

namespace strait::kernels {

namespace {

using Indices = TokenOrder::Indices;

void count(const ExecutionSpace& exec, const Indices& counts, const TokenIds& ids) {
  Kokkos::parallel_for(
      "strait::token_order::count", RangePolicy(exec, 0, ids.extent(0)),
      KOKKOS_LAMBDA(std::int64_t t) { Kokkos::atomic_fetch_add(&counts(ids(t)), 1); });
}

void replace_counts_by_starts(const ExecutionSpace& exec, const Indices& counts) {
  Kokkos::parallel_scan(
      "strait::token_order::scan", RangePolicy(exec, 0, counts.extent(0)),
      KOKKOS_LAMBDA(std::int64_t id, std::int32_t & sum, bool final) {
        const std::int32_t own = counts(id);
        if (final) counts(id) = sum;
        sum += own;
      });
}

/// Moves each start to the end; within an id the order depends on the threads.
void place(const ExecutionSpace& exec, const Indices& placed, const Indices& starts, const TokenIds& ids) {
  Kokkos::parallel_for(
      "strait::token_order::place", RangePolicy(exec, 0, ids.extent(0)), KOKKOS_LAMBDA(std::int64_t t) {
        placed(Kokkos::atomic_fetch_add(&starts(ids(t)), 1)) = static_cast<std::int32_t>(t);
      });
}

void sort_within_ids(const ExecutionSpace& exec, const TokenOrder& order, const Indices& placed,
                     const TokenIds& ids) {
  Kokkos::parallel_for(
      "strait::token_order::sort_within_ids", RangePolicy(exec, 0, ids.extent(0)),
      KOKKOS_LAMBDA(std::int64_t slot) {
        const std::int32_t position = placed(slot);
        const std::int32_t id = ids(position);
        const std::int32_t begin = order.begin(id), end = order.end(id);
        std::int32_t smaller = 0;
        for (std::int32_t other = begin; other < end; ++other) smaller += placed(other) < position;
        order.positions(begin + smaller) = position;
      });
}

}  // namespace

TokenOrder sort_by_token(const ExecutionSpace& exec, const TokenIds& ids, std::int64_t vocab) {
  const Indices placed = scratch<std::int32_t>("strait::token_order::placed", ids.extent(0));
  const TokenOrder order{scratch<std::int32_t>("strait::token_order::positions", ids.extent(0)),
                         scratch<std::int32_t>("strait::token_order::ends", vocab)};
  Kokkos::deep_copy(exec, order.ends, 0);
  count(exec, order.ends, ids);
  replace_counts_by_starts(exec, order.ends);
  place(exec, placed, order.ends, ids);
  sort_within_ids(exec, order, placed, ids);
  return order;
}

}  // namespace strait::kernels
