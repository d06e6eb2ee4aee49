#include "strait/kernels/rms_norm.hpp"

#include "strait/core/error.hpp"

#include "rows.hpp"
#include "workspace.hpp"

namespace strait::kernels {

namespace {

/// One row: rstd of x and y = x * rstd * gain. Returns rstd.
template <class T>
KOKKOS_INLINE_FUNCTION Compute<T> normalise_row(const Row& row, T* y, const T* x, const T* gain,
                                                std::int64_t hidden, Compute<T> epsilon) {
  using C = Compute<T>;
  const C sum = row_sum<C>(row, hidden, [&](std::int64_t j) { return x[j] * x[j]; });
  const C scale = C(1) / math::sqrt(sum / static_cast<C>(hidden) + epsilon);
  row_for(row, hidden, [&](std::int64_t j) { y[j] = static_cast<T>(x[j] * scale * gain[j]); });
  return scale;
}

/// Sums dy * x * rstd over one block of tokens into columns of one row of `partial`. Blocks are fixed, so
/// that the result does not depend on the threads.
template <class T>
struct GainGradientOfBlock {
  using C = Compute<T>;
  static constexpr std::int64_t block = host_accessible ? 128 : 64;  // more of them to fill a device
  Matrix<C> partial;
  ConstMatrix<T> dy, x;
  ConstVector<C> rstd;

  KOKKOS_FUNCTION void operator()(const Row& row, std::int64_t index, std::int64_t first,
                                  std::int64_t count) const {
    const auto tokens = static_cast<std::int64_t>(x.extent(0));
    const std::int64_t begin = index * block;
    const std::int64_t end = begin + block < tokens ? begin + block : tokens;
    C* const sum = &partial(index, first);
    if constexpr (host_accessible) {
      row_for(row, count, [&](std::int64_t j) { sum[j] = 0; });
      for (std::int64_t i = begin; i < end; ++i) {
        const T* const dy_row = &dy(i, first);
        const T* const x_row = &x(i, first);
        const C scale = rstd(i);
        row_for(row, count, [&](std::int64_t j) { sum[j] += dy_row[j] * x_row[j] * scale; });
      }
    } else {
      row_for(row, count, [&](std::int64_t j) {
        C s = 0;
        for (std::int64_t i = begin; i < end; ++i) s += dy(i, first + j) * x(i, first + j) * rstd(i);
        sum[j] = s;
      });
    }
  }
};

}  // namespace

template <class T>
void rms_norm_forward(const ExecutionSpace& exec, const Matrix<T>& y, const Vector<Compute<T>>& rstd,
                      ConstMatrix<T> x, ConstVector<T> gain, double epsilon) {
  ensure(y.extent(0) == x.extent(0) && y.extent(1) == x.extent(1) && rstd.extent(0) == x.extent(0) &&
             gain.extent(0) == x.extent(1),
         "rms_norm_forward: extents do not match");
  const auto hidden = static_cast<std::int64_t>(x.extent(1));
  if (hidden == 0) return;
  using C = Compute<T>;
  const C small = static_cast<C>(epsilon);
  for_each_row(
      "strait::rms_norm::forward", exec, x.extent(0), KOKKOS_LAMBDA(const Row& row, std::int64_t i) {
        const C scale = normalise_row<T>(row, &y(i, 0), &x(i, 0), gain.data(), hidden, small);
        row_once(row, [&] { rstd(i) = scale; });
      });
}

template <class T>
void add_rms_norm_forward(const ExecutionSpace& exec, const Matrix<T>& y, const Vector<Compute<T>>& rstd,
                          const Matrix<T>& x, ConstMatrix<T> branch, ConstVector<T> gain, double epsilon) {
  ensure(y.extent(0) == x.extent(0) && y.extent(1) == x.extent(1) && branch.extent(0) == x.extent(0) &&
             branch.extent(1) == x.extent(1) && rstd.extent(0) == x.extent(0) &&
             gain.extent(0) == x.extent(1),
         "add_rms_norm_forward: extents do not match");
  const auto hidden = static_cast<std::int64_t>(x.extent(1));
  if (hidden == 0) return;
  using C = Compute<T>;
  const C small = static_cast<C>(epsilon);
  for_each_row(
      "strait::rms_norm::add_forward", exec, x.extent(0), KOKKOS_LAMBDA(const Row& row, std::int64_t i) {
        T* const x_row = &x(i, 0);
        const T* const branch_row = &branch(i, 0);
        row_for(row, hidden, [&](std::int64_t j) { x_row[j] = static_cast<T>(x_row[j] + branch_row[j]); });
        row.barrier();
        const C scale = normalise_row<T>(row, &y(i, 0), x_row, gain.data(), hidden, small);
        row_once(row, [&] { rstd(i) = scale; });
      });
}

template <class T>
void rms_norm_recompute(const ExecutionSpace& exec, const Matrix<T>& y, ConstMatrix<T> x,
                        ConstVector<Compute<T>> rstd, ConstVector<T> gain) {
  ensure(y.extent(0) == x.extent(0) && y.extent(1) == x.extent(1) && rstd.extent(0) == x.extent(0) &&
             gain.extent(0) == x.extent(1),
         "rms_norm_recompute: extents do not match");
  const auto hidden = static_cast<std::int64_t>(x.extent(1));
  if (hidden == 0) return;
  for_each_row(
      "strait::rms_norm::recompute", exec, x.extent(0), KOKKOS_LAMBDA(const Row& row, std::int64_t i) {
        T* const y_row = &y(i, 0);
        const T* const x_row = &x(i, 0);
        const T* const gains = gain.data();
        const Compute<T> scale = rstd(i);
        row_for(row, hidden, [&](std::int64_t j) { y_row[j] = static_cast<T>(x_row[j] * scale * gains[j]); });
      });
}

template <class T>
void rms_norm_backward_input(const ExecutionSpace& exec, const Matrix<T>& dx, ConstMatrix<T> dy,
                             ConstMatrix<T> residual, ConstMatrix<T> x, ConstVector<Compute<T>> rstd,
                             ConstVector<T> gain) {
  const bool has_residual = residual.size() > 0;
  ensure(dx.extent(0) == x.extent(0) && dx.extent(1) == x.extent(1) && dy.extent(0) == x.extent(0) &&
             dy.extent(1) == x.extent(1) && rstd.extent(0) == x.extent(0) && gain.extent(0) == x.extent(1),
         "rms_norm_backward_input: extents do not match");
  ensure(!has_residual || (residual.extent(0) == x.extent(0) && residual.extent(1) == x.extent(1)),
         "rms_norm_backward_input: extents of the residual do not match");
  const auto hidden = static_cast<std::int64_t>(x.extent(1));
  if (hidden == 0) return;
  using C = Compute<T>;
  // With n = x * rstd: dx = rstd * (gain * dy - n * mean(gain * dy * n)).
  for_each_row(
      "strait::rms_norm::backward_input", exec, x.extent(0), KOKKOS_LAMBDA(const Row& row, std::int64_t i) {
        T* const dx_row = &dx(i, 0);
        const T* const dy_row = &dy(i, 0);
        const T* const x_row = &x(i, 0);
        const T* const gains = gain.data();
        const C scale = rstd(i);
        const C projection =
            row_sum<C>(row, hidden, [&](std::int64_t j) { return gains[j] * dy_row[j] * x_row[j]; });
        const C along = projection * scale * scale * scale / static_cast<C>(hidden);
        if (has_residual) {
          const T* const residual_row = &residual(i, 0);
          row_for(row, hidden, [&](std::int64_t j) {
            dx_row[j] = static_cast<T>(residual_row[j] + (gains[j] * dy_row[j] * scale - x_row[j] * along));
          });
        } else {
          row_for(row, hidden, [&](std::int64_t j) {
            dx_row[j] = static_cast<T>(gains[j] * dy_row[j] * scale - x_row[j] * along);
          });
        }
      });
}

template <class T>
void rms_norm_backward_weight(const ExecutionSpace& exec, const Vector<Compute<T>>& dgain, ConstMatrix<T> dy,
                              ConstMatrix<T> x, ConstVector<Compute<T>> rstd) {
  ensure(dy.extent(0) == x.extent(0) && dy.extent(1) == x.extent(1) && rstd.extent(0) == x.extent(0) &&
             dgain.extent(0) == x.extent(1),
         "rms_norm_backward_weight: extents do not match");
  const auto tokens = static_cast<std::int64_t>(x.extent(0));
  const auto hidden = static_cast<std::int64_t>(x.extent(1));
  if (tokens == 0 || hidden == 0) return;
  constexpr std::int64_t block = GainGradientOfBlock<T>::block;
  const std::int64_t blocks = (tokens + block - 1) / block;
  using C = Compute<T>;
  const Workspace<C> sums("strait::rms_norm::partial_gain_gradient", blocks, hidden);
  const Matrix<C> partial = sums.view;
  for_each_part_of_row<128>("strait::rms_norm::backward_weight", exec, blocks, hidden,
                            GainGradientOfBlock<T>{partial, dy, x, rstd});
  Kokkos::parallel_for(
      "strait::rms_norm::sum_gain_gradient", RangePolicy(exec, 0, hidden), KOKKOS_LAMBDA(std::int64_t j) {
        C sum = 0;
        for (std::int64_t b = 0; b < blocks; ++b) sum += partial(b, j);
        dgain(j) += sum;
      });
}

#define STRAIT_INSTANTIATE(T)                                                                               \
  template void rms_norm_forward<T>(const ExecutionSpace&, const Matrix<T>&, const Vector<Compute<T>>&,     \
                                    ConstMatrix<T>, ConstVector<T>, double);                                \
  template void add_rms_norm_forward<T>(const ExecutionSpace&, const Matrix<T>&, const Vector<Compute<T>>&, \
                                        const Matrix<T>&, ConstMatrix<T>, ConstVector<T>, double);          \
  template void rms_norm_recompute<T>(const ExecutionSpace&, const Matrix<T>&, ConstMatrix<T>,              \
                                      ConstVector<Compute<T>>, ConstVector<T>);                             \
  template void rms_norm_backward_input<T>(const ExecutionSpace&, const Matrix<T>&, ConstMatrix<T>,         \
                                           ConstMatrix<T>, ConstMatrix<T>, ConstVector<Compute<T>>,         \
                                           ConstVector<T>);                                                 \
  template void rms_norm_backward_weight<T>(const ExecutionSpace&, const Vector<Compute<T>>&,               \
                                            ConstMatrix<T>, ConstMatrix<T>, ConstVector<Compute<T>>);
STRAIT_INSTANTIATE(float)
STRAIT_INSTANTIATE(double)
STRAIT_INSTANTIATE(bfloat16)
#undef STRAIT_INSTANTIATE

}  // namespace strait::kernels
