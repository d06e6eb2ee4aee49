#include "strait/kernels/embedding.hpp"

#include "strait/core/error.hpp"

#include "rows.hpp"
#include "token_order.hpp"
#include "workspace.hpp"

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

namespace {

/// A frequent token has many rows to add up; chunks of them are added at once, and then their sums.
constexpr std::int64_t chunk = 32;

/// The first chunk of a token's rows is added to the table, each other makes a row of `partial`: that which
/// its first slot divided by `chunk` tells, and no other chunk has.
template <class T>
void add_chunks(const ExecutionSpace& exec, const Matrix<Compute<T>>& dtable,
                const Matrix<Compute<T>>& partial, ConstMatrix<T> dx, const TokenIds& ids,
                const TokenOrder& order, Compute<T> factor) {
  using C = Compute<T>;
  const auto hidden = static_cast<std::int64_t>(dx.extent(1));
  for_each_row(
      "strait::embedding::backward", exec, ids.extent(0), KOKKOS_LAMBDA(const Row& row, std::int64_t slot) {
        const std::int32_t id = ids(order.positions(slot));
        const std::int64_t begin = order.begin(id), end = order.end(id);
        if ((slot - begin) % chunk != 0) return;
        C* const sum = slot == begin ? &dtable(id, 0) : &partial(slot / chunk, 0);
        if (slot != begin) {
          row_for(row, hidden, [&](std::int64_t j) { sum[j] = C(0); });
          row.barrier();
        }
        for (std::int64_t other = slot; other < end && other < slot + chunk; ++other) {
          const T* const dx_row = &dx(order.positions(other), 0);
          row_for(row, hidden, [&](std::int64_t j) { sum[j] += factor * dx_row[j]; });
          row.barrier();
        }
      });
}

/// Each token with several chunks has a slot that `chunk` divides less than `chunk` behind its first.
template <class C>
void add_partial_sums(const ExecutionSpace& exec, const Matrix<C>& dtable, const Matrix<C>& partial,
                      const TokenIds& ids, const TokenOrder& order) {
  const auto hidden = static_cast<std::int64_t>(dtable.extent(1));
  for_each_row(
      "strait::embedding::partial_sums", exec, partial.extent(0),
      KOKKOS_LAMBDA(const Row& row, std::int64_t index) {
        const std::int64_t slot = index * chunk;
        const std::int32_t id = ids(order.positions(slot));
        const std::int64_t begin = order.begin(id), end = order.end(id);
        if (slot - begin >= chunk) return;
        C* const sum = &dtable(id, 0);
        for (std::int64_t other = begin + chunk; other < end; other += chunk) {
          const C* const partial_row = &partial(other / chunk, 0);
          row_for(row, hidden, [&](std::int64_t j) { sum[j] += partial_row[j]; });
          row.barrier();
        }
      });
}

}  // namespace

template <class T>
void embedding_backward(const ExecutionSpace& exec, const Matrix<Compute<T>>& dtable, ConstMatrix<T> dx,
                        const TokenIds& ids, double scale) {
  ensure(dx.extent(0) == ids.extent(0) && dx.extent(1) == dtable.extent(1),
         "embedding_backward: extents do not match");
  const auto tokens = static_cast<std::int64_t>(ids.extent(0));
  if (dx.extent(1) == 0 || tokens == 0) return;
  using C = Compute<T>;
  const TokenOrder order = sort_by_token(exec, ids, dtable.extent(0));
  const Workspace<C> partial("strait::embedding::partial", (tokens + chunk - 1) / chunk, dx.extent(1));
  add_chunks<T>(exec, dtable, partial.view, dx, ids, order, static_cast<C>(scale));
  add_partial_sums<C>(exec, dtable, partial.view, ids, order);
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
