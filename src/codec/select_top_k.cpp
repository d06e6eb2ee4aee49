#include "strait/codec/top_k.hpp"

#include "magnitude.hpp"

namespace strait::codec {
namespace {

template <class T>
struct SelectRow {
  MutableTokenIds columns;
  Kokkos::View<const T**, Kokkos::LayoutRight, MemorySpace> x;
  int k;

  using Bits = MagnitudeBits<T>;

  /// Entries of `from` whose magnitude is at least `bound`.
  KOKKOS_INLINE_FUNCTION int count(const TeamMember& team, const T* from, Bits bound) const {
    int found = 0;
    Kokkos::parallel_reduce(
        Kokkos::TeamThreadRange(team, static_cast<int>(x.extent(1))),
        [=](int j, int& sum) { sum += magnitude_bits(from[j]) >= bound ? 1 : 0; }, found);
    return found;
  }

  /// A bound that k entries reach, or else the magnitude of the k-th largest, by bisection over bits.
  KOKKOS_INLINE_FUNCTION Bits bound(const TeamMember& team, const T* from) const {
    Bits high = 0;
    Kokkos::parallel_reduce(
        Kokkos::TeamThreadRange(team, static_cast<int>(x.extent(1))),
        [=](int j, Bits& value) {
          const Bits magnitude = magnitude_bits(from[j]);
          value = magnitude > value ? magnitude : value;
        },
        Kokkos::Max<Bits>(high));
    Bits low = 0;  // at least k entries reach `low`, fewer than k what is above `high`
    while (low < high) {
      const Bits middle = high - (high - low) / 2;
      const int reached = count(team, from, middle);
      if (reached == k) return middle;
      if (reached > k) {
        low = middle;
      } else {
        high = middle - 1;
      }
    }
    return low;
  }

  KOKKOS_INLINE_FUNCTION void operator()(const TeamMember& team) const {
    const int row = team.league_rank();
    const T* const from = &x(row, 0);
    std::int32_t* const to = &columns(static_cast<std::int64_t>(row) * k);
    const Bits least = bound(team, from);
    const int above = count(team, from, least + 1);
    const int equal = k - above;  // of those that are the bound itself
    // Of what comes before a column, the upper half counts entries above the bound, the lower half those
    // that are the bound.
    Kokkos::parallel_scan(Kokkos::TeamThreadRange(team, static_cast<int>(x.extent(1))),
                          [=](int j, std::int64_t& before, const bool last) {
                            const Bits magnitude = magnitude_bits(from[j]);
                            if (last) {
                              const int before_equal = static_cast<int>(before & 0xffffffff);
                              const int kept = before_equal < equal ? before_equal : equal;
                              if (magnitude > least || (magnitude == least && before_equal < equal)) {
                                to[static_cast<int>(before >> 32) + kept] = j;
                              }
                            }
                            before += magnitude > least ? std::int64_t{1} << 32 : magnitude == least ? 1 : 0;
                          });
  }
};

template <class T>
struct GatherRow {
  Kokkos::View<T**, Kokkos::LayoutRight, MemorySpace> values;
  Kokkos::View<const T**, Kokkos::LayoutRight, MemorySpace> x;
  TokenIds columns;

  KOKKOS_INLINE_FUNCTION void operator()(const TeamMember& team) const {
    const int row = team.league_rank();
    const int k = static_cast<int>(values.extent(1));
    T* const to = &values(row, 0);
    const T* const from = &x(row, 0);
    const std::int32_t* const column = &columns(static_cast<std::int64_t>(row) * k);
    Kokkos::parallel_for(Kokkos::TeamThreadRange(team, k), [=](int i) { to[i] = from[column[i]]; });
  }
};

template <class T>
struct ScatterRow {
  Kokkos::View<T**, Kokkos::LayoutRight, MemorySpace> x;
  Kokkos::View<const T**, Kokkos::LayoutRight, MemorySpace> values;
  TokenIds columns;

  KOKKOS_INLINE_FUNCTION void operator()(const TeamMember& team) const {
    const int row = team.league_rank();
    const int k = static_cast<int>(values.extent(1));
    T* const to = &x(row, 0);
    const T* const from = &values(row, 0);
    const std::int32_t* const column = &columns(static_cast<std::int64_t>(row) * k);
    Kokkos::parallel_for(Kokkos::TeamThreadRange(team, static_cast<int>(x.extent(1))),
                         [=](int j) { to[j] = T(0); });
    team.team_barrier();
    Kokkos::parallel_for(Kokkos::TeamThreadRange(team, k), [=](int i) { to[column[i]] = from[i]; });
  }
};

}  // namespace

template <class T>
void select_top_k(const ExecutionSpace& exec, const MutableTokenIds& columns, ConstMatrix<T> x, int k) {
  ensure(k >= 1 && k <= static_cast<int>(x.extent(1)) && columns.extent(0) == x.extent(0) * k,
         "select_top_k: k columns of every row");
  Kokkos::parallel_for("strait::codec::select_top_k",
                       TeamPolicy(exec, static_cast<int>(x.extent(0)), Kokkos::AUTO),
                       SelectRow<T>{columns, x, k});
}

template <class T>
void gather_columns(const ExecutionSpace& exec, const Matrix<T>& values, ConstMatrix<T> x,
                    const TokenIds& columns) {
  ensure(columns.extent(0) == values.size(), "gather_columns: a column for every value");
  Kokkos::parallel_for("strait::codec::gather_columns",
                       TeamPolicy(exec, static_cast<int>(x.extent(0)), Kokkos::AUTO),
                       GatherRow<T>{values, x, columns});
}

template <class T>
void scatter_columns(const ExecutionSpace& exec, const Matrix<T>& x, ConstMatrix<T> values,
                     const TokenIds& columns) {
  ensure(columns.extent(0) == values.size(), "scatter_columns: a column for every value");
  Kokkos::parallel_for("strait::codec::scatter_columns",
                       TeamPolicy(exec, static_cast<int>(x.extent(0)), Kokkos::AUTO),
                       ScatterRow<T>{x, values, columns});
}

#define STRAIT_INSTANTIATE(T)                                                                                \
  template void select_top_k<T>(const ExecutionSpace&, const MutableTokenIds&, ConstMatrix<T>, int);         \
  template void gather_columns<T>(const ExecutionSpace&, const Matrix<T>&, ConstMatrix<T>, const TokenIds&); \
  template void scatter_columns<T>(const ExecutionSpace&, const Matrix<T>&, ConstMatrix<T>, const TokenIds&);
STRAIT_INSTANTIATE(float)
STRAIT_INSTANTIATE(double)
#undef STRAIT_INSTANTIATE

}  // namespace strait::codec
