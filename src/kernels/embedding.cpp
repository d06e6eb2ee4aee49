#include "strait/kernels/embedding.hpp"

#include "strait/core/error.hpp"

#include "rows.hpp"
#include "token_order.hpp"

namespace strait::kernels {

template <class T>
void embedding_forward(const ExecutionSpace& exec, const Matrix<T>& x, ConstMatrix<T> table,
                       const TokenIds& ids) {
  ensure(x.extent(0) == ids.extent(0) && x.extent(1) == table.extent(1),
         "embedding_forward: extents do not match");
  const auto hidden = static_cast<std::int64_t>(x.extent(1));
  if (hidden == 0) return;
  for_each_row(
      "strait::embedding::forward", exec, x.extent(0), KOKKOS_LAMBDA(const Row& row, std::int64_t i) {
        T* const x_row = &x(i, 0);
        const T* const table_row = &table(ids(i), 0);
        row_for(row, hidden, [&](std::int64_t j) { x_row[j] = table_row[j]; });
      });
}

template <class T>
void embedding_backward(const ExecutionSpace& exec, const Matrix<Compute<T>>& dtable, ConstMatrix<T> dx,
                        const TokenIds& ids, double scale) {
  ensure(dx.extent(0) == ids.extent(0) && dx.extent(1) == dtable.extent(1),
         "embedding_backward: extents do not match");
  const auto hidden = static_cast<std::int64_t>(dx.extent(1));
  if (hidden == 0 || ids.extent(0) == 0) return;
  using C = Compute<T>;
  const C factor = static_cast<C>(scale);
  const TokenOrder order = sort_by_token(exec, ids, dtable.extent(0));
  for_each_row(
      "strait::embedding::backward", exec, ids.extent(0), KOKKOS_LAMBDA(const Row& row, std::int64_t slot) {
        const std::int32_t id = ids(order.positions(slot));
        if (slot != order.begin(id)) return;
        C* const sum = &dtable(id, 0);
        for (std::int32_t other = order.begin(id); other < order.end(id); ++other) {
          const T* const dx_row = &dx(order.positions(other), 0);
          row_for(row, hidden, [&](std::int64_t j) { sum[j] += factor * dx_row[j]; });
          row.barrier();
        }
      });
}

#define STRAIT_INSTANTIATE(T)                                                                           \
  template void embedding_forward<T>(const ExecutionSpace&, const Matrix<T>&, ConstMatrix<T>,           \
                                     const TokenIds&);                                                  \
  template void embedding_backward<T>(const ExecutionSpace&, const Matrix<Compute<T>>&, ConstMatrix<T>, \
                                      const TokenIds&, double);
STRAIT_INSTANTIATE(float)
STRAIT_INSTANTIATE(double)
STRAIT_INSTANTIATE(bfloat16)
#undef STRAIT_INSTANTIATE

}  // namespace strait::kernels
