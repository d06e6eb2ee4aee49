#pragma once
// One body for kernels that work on rows, fast on every backend: on hosts a thread per row and inner loops
// that vectorise, on devices a team per row.

#include "strait/core/tensor.hpp"

#include <string>
#include <type_traits>

/// The next loop carries no dependence between iterations: arguments may alias exactly, as dx and residual
/// do.
#if defined(__CUDACC__) || defined(__HIPCC__)
#define STRAIT_INDEPENDENT_ITERATIONS
#elif defined(__clang__)
#define STRAIT_INDEPENDENT_ITERATIONS _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__)
#define STRAIT_INDEPENDENT_ITERATIONS _Pragma("GCC ivdep")
#else
#define STRAIT_INDEPENDENT_ITERATIONS
#endif

namespace strait::kernels {

/// The one thread that works on a row on hosts.
struct HostRow {
  void barrier() const {}
};

/// The team that works on a row on devices.
struct DeviceRow {
  const TeamMember& member;
  KOKKOS_FUNCTION void barrier() const { member.team_barrier(); }
};

using Row = std::conditional_t<host_accessible, HostRow, DeviceRow>;

namespace detail {

template <class Body>
struct HostRows {
  Body body;
  void operator()(std::int64_t row) const { body(HostRow{}, row); }
};

template <class Body>
struct DeviceRows {
  Body body;
  KOKKOS_FUNCTION void operator()(const TeamMember& member) const {
    body(DeviceRow{member}, static_cast<std::int64_t>(member.league_rank()));
  }
};

template <std::int64_t part, class Body>
struct Parts {
  Body body;
  std::int64_t width;
  KOKKOS_FUNCTION std::int64_t count() const { return host_accessible ? 1 : (width + part - 1) / part; }
  KOKKOS_FUNCTION void operator()(const Row& row, std::int64_t item) const {
    if constexpr (host_accessible) {
      body(row, item, std::int64_t{0}, width);
    } else {
      const std::int64_t first = item % count() * part;
      body(row, item / count(), first, width - first < part ? width - first : part);
    }
  }
};

}  // namespace detail

/// Calls body(Row, row) for each row in [0, rows), in parallel.
template <class Body>
void for_each_row(const std::string& label, const ExecutionSpace& exec, std::int64_t rows, const Body& body) {
  if constexpr (host_accessible) {
    Kokkos::parallel_for(label, RangePolicy(exec, 0, rows), detail::HostRows<Body>{body});
  } else {
    constexpr int team_size = 128;
    Kokkos::parallel_for(label, TeamPolicy(exec, static_cast<int>(rows), team_size),
                         detail::DeviceRows<Body>{body});
  }
}

/// Calls body(Row, row, first, count) for each row in [0, rows), in parallel, with entries [first, first +
/// count) of its `width`: all at once on hosts, `part` at a time on devices, so that a few long rows fill
/// them.
template <std::int64_t part = 2048, class Body>
void for_each_part_of_row(const std::string& label, const ExecutionSpace& exec, std::int64_t rows,
                          std::int64_t width, const Body& body) {
  const detail::Parts<part, Body> parts{body, width};
  for_each_row(label, exec, rows * parts.count(), parts);
}

/// f(j) for each j in [0, count); the calls may run in any order and at once.
template <class F>
inline void row_for(const HostRow&, std::int64_t count, const F& f) {
  STRAIT_INDEPENDENT_ITERATIONS
  for (std::int64_t j = 0; j < count; ++j) f(j);
}

template <class F>
KOKKOS_INLINE_FUNCTION void row_for(const DeviceRow& row, std::int64_t count, const F& f) {
  Kokkos::parallel_for(Kokkos::TeamThreadRange(row.member, static_cast<int>(count)), f);
}

/// f(i, j) for each i in [0, outer) and j in [0, inner), as row_for.
template <class F>
inline void row_for(const HostRow&, std::int64_t outer, std::int64_t inner, const F& f) {
  for (std::int64_t i = 0; i < outer; ++i) {
    STRAIT_INDEPENDENT_ITERATIONS
    for (std::int64_t j = 0; j < inner; ++j) f(i, j);
  }
}

template <class F>
KOKKOS_INLINE_FUNCTION void row_for(const DeviceRow& row, std::int64_t outer, std::int64_t inner,
                                    const F& f) {
  const int width = static_cast<int>(inner);
  Kokkos::parallel_for(Kokkos::TeamThreadRange(row.member, static_cast<int>(outer) * width),
                       [&](int index) { f(index / width, index % width); });
}

/// Sum of f(j) over j in [0, count), in an order that depends on count alone; every thread of the row gets
/// it.
template <class T, class F>
inline T row_sum(const HostRow&, std::int64_t count, const F& f) {
  // Compilers may not reorder a floating-point sum, so the order is one that vectorises.
  constexpr int lanes = 32;
  T partial[lanes] = {};
  std::int64_t j = 0;
  for (; j + lanes <= count; j += lanes) {
    for (int lane = 0; lane < lanes; ++lane) partial[lane] += f(j + lane);
  }
  for (int lane = 0; j + lane < count; ++lane) partial[lane] += f(j + lane);
  for (int width = lanes / 2; width > 0; width /= 2) {
    for (int lane = 0; lane < width; ++lane) partial[lane] += partial[lane + width];
  }
  return partial[0];
}

template <class T, class F>
KOKKOS_INLINE_FUNCTION T row_sum(const DeviceRow& row, std::int64_t count, const F& f) {
  T sum = 0;
  Kokkos::parallel_reduce(
      Kokkos::TeamThreadRange(row.member, static_cast<int>(count)), [&](int j, T& value) { value += f(j); },
      sum);
  return sum;
}

/// Largest f(j) over j in [0, count); every thread of the row gets it. NaN may be passed over.
template <class T, class F>
inline T row_max(const HostRow&, std::int64_t count, const F& f) {
  constexpr int lanes = 32;
  T partial[lanes];
  for (int lane = 0; lane < lanes; ++lane) partial[lane] = f(lane < count ? lane : 0);
  std::int64_t j = 0;
  for (; j + lanes <= count; j += lanes) {
    for (int lane = 0; lane < lanes; ++lane) {
      const T value = f(j + lane);
      partial[lane] = value > partial[lane] ? value : partial[lane];
    }
  }
  T largest = partial[0];
  for (int lane = 1; lane < lanes; ++lane) largest = partial[lane] > largest ? partial[lane] : largest;
  for (; j < count; ++j) largest = f(j) > largest ? f(j) : largest;
  return largest;
}

template <class T, class F>
KOKKOS_INLINE_FUNCTION T row_max(const DeviceRow& row, std::int64_t count, const F& f) {
  T largest = 0;
  Kokkos::parallel_reduce(
      Kokkos::TeamThreadRange(row.member, static_cast<int>(count)),
      [&](int j, T& value) { value = f(j) > value ? f(j) : value; }, Kokkos::Max<T>(largest));
  return largest;
}

/// f() by one thread of the row.
template <class F>
inline void row_once(const HostRow&, const F& f) {
  f();
}

template <class F>
KOKKOS_INLINE_FUNCTION void row_once(const DeviceRow& row, const F& f) {
  Kokkos::single(Kokkos::PerTeam(row.member), f);
}

}  // namespace strait::kernels
