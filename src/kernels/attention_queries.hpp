#pragma once
// Who works on a block of neighbouring queries of one head, whose scores are kept transposed, [keys,
// queries]: on hosts one thread, whose loops over the queries vectorise; on devices a team, in which
// neighbouring threads work on neighbouring queries and several on the keys of one query.

#include "host_item.hpp"

namespace strait::kernels::attention {

/// Queries of a block.
inline constexpr int block_queries = 32;

struct HostQueries {
  static constexpr int lanes = block_queries;  ///< queries of a thread
  static constexpr int slices = 1;             ///< threads of a query

  /// The thread's first query, counted from that of the block, and its first key: it has every slices-th.
  int lane() const { return 0; }
  int slice() const { return 0; }

  /// Each query's value becomes what `operation` makes of those that its threads hold.
  template <class T, class Operation>
  void combine(T (&)[lanes], const Operation&) const {}

  /// sums[l] = the sum of f(query, j) over j in [0, count) for the thread's queries, as counted in the block;
  /// 0 from query `valid` on.
  template <class T, class F>
  void row_sums(T (&sums)[lanes], int valid, int count, const F& f) const {
    for (int l = 0; l < lanes; ++l) {
      sums[l] = l < valid ? row_sum<T>(HostRow{}, count, [&](std::int64_t j) { return f(l, j); }) : T(0);
    }
  }
};

class DeviceQueries {
 public:
  static constexpr int lanes = 1;
  static constexpr int slices = 8;
  static constexpr int team_size = slices * block_queries;
  static constexpr int scratch_size = team_size * sizeof(double);

  KOKKOS_FUNCTION explicit DeviceQueries(const TeamMember& member)
      : member_(member), shared_(member.team_scratch(0).get_shmem(int{scratch_size})) {}

  KOKKOS_FUNCTION int lane() const { return member_.team_rank() % block_queries; }
  KOKKOS_FUNCTION int slice() const { return member_.team_rank() / block_queries; }

  template <class T, class Operation>
  KOKKOS_FUNCTION void combine(T (&value)[lanes], const Operation& operation) const {
    T* const values = static_cast<T*>(shared_);
    values[member_.team_rank()] = value[0];
    member_.team_barrier();
    value[0] = values[lane()];
    for (int s = 1; s < slices; ++s) value[0] = operation(value[0], values[s * block_queries + lane()]);
    member_.team_barrier();
  }

  template <class T, class F>
  KOKKOS_FUNCTION void row_sums(T (&sums)[lanes], int valid, int count, const F& f) const {
    T* const values = static_cast<T*>(shared_);
    // Here neighbouring threads share a row.
    const int query = member_.team_rank() / slices, first = member_.team_rank() % slices;
    T sum = 0;
    if (query < valid) {
      for (int j = first; j < count; j += slices) sum += f(query, j);
    }
    values[first * block_queries + query] = sum;
    member_.team_barrier();
    sums[0] = values[lane()];
    for (int s = 1; s < slices; ++s) sums[0] += values[s * block_queries + lane()];
    member_.team_barrier();
  }

 private:
  const TeamMember& member_;
  void* shared_;
};

using Queries = std::conditional_t<host_accessible, HostQueries, DeviceQueries>;

template <class Body>
struct HostQueryBlocks {
  Body body;
  int blocks;  ///< of an item
  void operator()(std::int64_t index) const {
    body(HostQueries{}, static_cast<int>(index / blocks), static_cast<int>(index % blocks) * block_queries);
  }
};

template <class Body>
struct DeviceQueryBlocks {
  Body body;
  int blocks;
  KOKKOS_FUNCTION void operator()(const TeamMember& member) const {
    body(DeviceQueries(member), member.league_rank() / blocks, member.league_rank() % blocks * block_queries);
  }
};

/// Calls body(Queries, item, first query) for the blocks of `queries` queries of each item, in parallel.
template <class Body>
void for_each_query_block(const std::string& label, const ExecutionSpace& exec, int items, int queries,
                          const Body& body) {
  const int blocks = (queries + block_queries - 1) / block_queries;
  if constexpr (host_accessible) {
    Kokkos::parallel_for(label, RangePolicy(exec, 0, std::int64_t(items) * blocks),
                         HostQueryBlocks<Body>{body, blocks});
  } else {
    TeamPolicy policy(exec, items * blocks, DeviceQueries::team_size);
    policy.set_scratch_size(0, Kokkos::PerTeam(DeviceQueries::scratch_size));
    Kokkos::parallel_for(label, policy, DeviceQueryBlocks<Body>{body, blocks});
  }
}

template <class Body>
void for_each_query_block(const std::string&, const HostItem& own, int items, int queries, const Body& body) {
  const int blocks = (queries + block_queries - 1) / block_queries;
  own.share(std::int64_t(items) * blocks, HostQueryBlocks<Body>{body, blocks});
}

}  // namespace strait::kernels::attention
