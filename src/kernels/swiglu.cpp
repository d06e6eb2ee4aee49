#include "strait/kernels/swiglu.hpp"

#include "strait/core/bits16.hpp"
#include "strait/core/error.hpp"
#include "strait/kernels/fast_math.hpp"

#include "rows.hpp"

namespace strait::kernels {

template <class T>
void swiglu_forward(const ExecutionSpace& exec, const Matrix<T>& y, ConstMatrix<T> gate_up) {
  const auto ffn = static_cast<std::int64_t>(y.extent(1));
  ensure(gate_up.extent(0) == y.extent(0) && gate_up.extent(1) == 2 * y.extent(1),
         "swiglu_forward: extents do not match");
  if (ffn == 0) return;
  for_each_row(
      "strait::swiglu::forward", exec, y.extent(0), KOKKOS_LAMBDA(const Row& row, std::int64_t i) {
        T* const y_row = &y(i, 0);
        const T* const gate = &gate_up(i, 0);
        const T* const up = gate + ffn;
        row_for(row, ffn,
                [&](std::int64_t j) { y_row[j] = static_cast<T>(fast::silu<Compute<T>>(gate[j]) * up[j]); });
      });
}

template <class T>
void swiglu_backward(const ExecutionSpace& exec, const Matrix<T>& dgate_up, const Matrix<T>& y,
                     ConstMatrix<T> gate_up, ConstMatrix<T> dy) {
  const auto ffn = static_cast<std::int64_t>(dy.extent(1));
  using C = Compute<T>;
  const bool wants_y = y.size() > 0;
  ensure(gate_up.extent(0) == dy.extent(0) && gate_up.extent(1) == 2 * dy.extent(1) &&
             dgate_up.extent(0) == dy.extent(0) && dgate_up.extent(1) == gate_up.extent(1),
         "swiglu_backward: extents do not match");
  ensure(!wants_y || (y.extent(0) == dy.extent(0) && y.extent(1) == dy.extent(1)),
         "swiglu_backward: extents of y do not match");
  if (ffn == 0) return;
  for_each_row(
      "strait::swiglu::backward", exec, dy.extent(0), KOKKOS_LAMBDA(const Row& row, std::int64_t i) {
        T* const dgate = &dgate_up(i, 0);
        T* const dup = dgate + ffn;
        const T* const gate = &gate_up(i, 0);
        const T* const up = gate + ffn;
        const T* const dy_row = &dy(i, 0);
        T* const y_row = wants_y ? &y(i, 0) : nullptr;
        row_for(row, ffn, [&](std::int64_t j) {
          const C g = gate[j], u = up[j], d = dy_row[j];
          const C sigmoid = fast::sigmoid(g);
          const C activated = g * sigmoid;
          if (wants_y) y_row[j] = static_cast<T>(activated * u);
          dgate[j] = static_cast<T>(d * u * (sigmoid + activated * (C(1) - sigmoid)));
          dup[j] = static_cast<T>(d * activated);
        });
      });
}

#define STRAIT_INSTANTIATE(T)                                                                 \
  template void swiglu_forward<T>(const ExecutionSpace&, const Matrix<T>&, ConstMatrix<T>);   \
  template void swiglu_backward<T>(const ExecutionSpace&, const Matrix<T>&, const Matrix<T>&, \
                                   ConstMatrix<T>, ConstMatrix<T>);
STRAIT_INSTANTIATE(float)
STRAIT_INSTANTIATE(double)
STRAIT_INSTANTIATE(bfloat16)
#undef STRAIT_INSTANTIATE

}  // namespace strait::kernels
