#include "token_rows.hpp"

namespace strait::codec {
namespace {

template <class T>
struct SubtractRow {
  Kokkos::View<T**, Kokkos::LayoutRight, MemorySpace> y;
  Kokkos::View<const T**, Kokkos::LayoutRight, MemorySpace> x, table;
  TokenIds ids;

  KOKKOS_INLINE_FUNCTION void operator()(const TeamMember& team) const {
    const int row = team.league_rank();
    T* const to = &y(row, 0);
    const T* const from = &x(row, 0);
    const T* const anchor = &table(ids(row), 0);
    Kokkos::parallel_for(Kokkos::TeamThreadRange(team, static_cast<int>(x.extent(1))),
                         [=](int i) { to[i] = from[i] - anchor[i]; });
  }
};

}  // namespace

template <class T>
void subtract_rows(const ExecutionSpace& exec, const Matrix<T>& y, ConstMatrix<T> x, ConstMatrix<T> table,
                   const TokenIds& ids) {
  Kokkos::parallel_for("strait::codec::subtract_anchors",
                       TeamPolicy(exec, static_cast<int>(x.extent(0)), Kokkos::AUTO),
                       SubtractRow<T>{y, x, table, ids});
}

template void subtract_rows<float>(const ExecutionSpace&, const Matrix<float>&, ConstMatrix<float>,
                                   ConstMatrix<float>, const TokenIds&);
template void subtract_rows<double>(const ExecutionSpace&, const Matrix<double>&, ConstMatrix<double>,
                                    ConstMatrix<double>, const TokenIds&);

}  // namespace strait::codec
