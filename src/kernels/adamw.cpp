#include "strait/kernels/adamw.hpp"

#include "strait/core/error.hpp"
#include "strait/kernels/matmul.hpp"

#include "rows.hpp"
#include "workspace.hpp"

#include <cmath>

namespace strait::kernels {
namespace {

/// One step on numbers of type T, bias corrections applied.
template <class T>
struct Step {
  explicit Step(const AdamWOptions& options) : Step(options, options.direction.value_or(of_adamw(options))) {}

  Step(const AdamWOptions& options, const AdamWDirection& direction)
      : beta1(static_cast<T>(options.beta1)),
        rest1(static_cast<T>(1.0 - options.beta1)),
        beta2(static_cast<T>(options.beta2)),
        rest2(static_cast<T>(1.0 - options.beta2)),
        along_mean(static_cast<T>(options.learning_rate * direction.mean)),
        along_gradient(static_cast<T>(options.learning_rate * direction.gradient * options.gradient_scale)),
        correction(static_cast<T>(1.0 / (1.0 - std::pow(options.beta2, static_cast<double>(options.step))))),
        epsilon(static_cast<T>(options.epsilon)),
        kept(static_cast<T>(1.0 - options.learning_rate * options.weight_decay)),
        scale(static_cast<T>(options.gradient_scale)) {}

  static AdamWDirection of_adamw(const AdamWOptions& options) {
    return {1.0 / (1.0 - std::pow(options.beta1, static_cast<double>(options.step))), 0.0};
  }

  KOKKOS_INLINE_FUNCTION T mean(T m, T gradient) const { return beta1 * m + rest1 * (gradient * scale); }
  KOKKOS_INLINE_FUNCTION T square(T v, T gradient) const {
    const T g = gradient * scale;
    return beta2 * v + rest2 * g * g;
  }
  KOKKOS_INLINE_FUNCTION T weight(T w, T m, T v, T gradient) const {
    return kept * w - (along_mean * m + along_gradient * gradient) / (math::sqrt(v * correction) + epsilon);
  }

  T beta1, rest1, beta2, rest2, along_mean, along_gradient, correction, epsilon, kept, scale;
};

template <class T>
void adamw_of_rows(const ExecutionSpace& exec, const Matrix<T>& weights, const Matrix<T>& m,
                   const Matrix<T>& v, ConstMatrix<T> gradients, const Step<T>& step) {
  const auto length = static_cast<std::int64_t>(weights.extent(1));
  for_each_row(
      "strait::adamw::rows", exec, weights.extent(0), KOKKOS_LAMBDA(const Row& row, std::int64_t i) {
        T* const w_row = &weights(i, 0);
        T* const m_row = &m(i, 0);
        T* const v_row = &v(i, 0);
        const T* const g_row = &gradients(i, 0);
        const T sum =
            row_sum<T>(row, length, [&](std::int64_t j) { return step.square(v_row[j], g_row[j]); });
        const T average = sum / static_cast<T>(length);
        row.barrier();
        row_for(row, length, [&](std::int64_t j) {
          m_row[j] = step.mean(m_row[j], g_row[j]);
          v_row[j] = average;
          w_row[j] = step.weight(w_row[j], m_row[j], average, g_row[j]);
        });
      });
}

template <class T>
void adamw_of_columns(const ExecutionSpace& exec, const Matrix<T>& weights, const Matrix<T>& m,
                      const Matrix<T>& v, ConstMatrix<T> gradients, const Step<T>& step) {
  const auto length = static_cast<std::int64_t>(weights.extent(0));
  const auto count = static_cast<std::int64_t>(weights.extent(1));
  for_each_row(
      "strait::adamw::moments", exec, length, KOKKOS_LAMBDA(const Row& row, std::int64_t i) {
        T* const m_row = &m(i, 0);
        T* const v_row = &v(i, 0);
        const T* const g_row = &gradients(i, 0);
        row_for(row, count, [&](std::int64_t j) {
          m_row[j] = step.mean(m_row[j], g_row[j]);
          v_row[j] = step.square(v_row[j], g_row[j]);
        });
      });
  const Workspace<T> weight_of_entry("strait::adamw::weight_of_entry", 1, length);
  const Workspace<T> averages_of_columns("strait::adamw::average", 1, count);
  const Matrix<T> average = averages_of_columns.view;
  Kokkos::deep_copy(exec, weight_of_entry.view, T(1) / static_cast<T>(length));
  matmul<T>(exec, average, weight_of_entry.view, v);
  for_each_row(
      "strait::adamw::columns", exec, length, KOKKOS_LAMBDA(const Row& row, std::int64_t i) {
        T* const w_row = &weights(i, 0);
        const T* const m_row = &m(i, 0);
        T* const v_row = &v(i, 0);
        const T* const g_row = &gradients(i, 0);
        const T* const averages = &average(0, 0);
        row_for(row, count, [&](std::int64_t j) {
          v_row[j] = averages[j];
          w_row[j] = step.weight(w_row[j], m_row[j], averages[j], g_row[j]);
        });
      });
}

}  // namespace

template <class T>
void adamw(const ExecutionSpace& exec, const Vector<T>& weights, const Vector<T>& m, const Vector<T>& v,
           ConstVector<T> gradients, const AdamWOptions& options) {
  ensure(m.extent(0) == weights.extent(0) && v.extent(0) == weights.extent(0) &&
             gradients.extent(0) == weights.extent(0),
         "adamw: extents do not match");
  const Step<T> step(options);
  Kokkos::parallel_for(
      "strait::adamw::step", RangePolicy(exec, 0, weights.extent(0)), KOKKOS_LAMBDA(std::int64_t i) {
        const T mean = step.mean(m(i), gradients(i));
        const T square = step.square(v(i), gradients(i));
        m(i) = mean;
        v(i) = square;
        weights(i) = step.weight(weights(i), mean, square, gradients(i));
      });
}

template <class T>
void adamw_of_vectors(const ExecutionSpace& exec, const Matrix<T>& weights, const Matrix<T>& m,
                      const Matrix<T>& v, ConstMatrix<T> gradients, Vectors vectors,
                      const AdamWOptions& options) {
  for (const ConstMatrix<T>& other : {ConstMatrix<T>(m), ConstMatrix<T>(v), gradients}) {
    ensure(other.extent(0) == weights.extent(0) && other.extent(1) == weights.extent(1),
           "adamw_of_vectors: extents do not match");
  }
  if (weights.size() == 0) return;
  if (vectors == Vectors::rows) {
    adamw_of_rows<T>(exec, weights, m, v, gradients, Step<T>(options));
  } else {
    adamw_of_columns<T>(exec, weights, m, v, gradients, Step<T>(options));
  }
}

#define STRAIT_INSTANTIATE(T)                                                                         \
  template void adamw<T>(const ExecutionSpace&, const Vector<T>&, const Vector<T>&, const Vector<T>&, \
                         ConstVector<T>, const AdamWOptions&);                                        \
  template void adamw_of_vectors<T>(const ExecutionSpace&, const Matrix<T>&, const Matrix<T>&,        \
                                    const Matrix<T>&, ConstMatrix<T>, Vectors, const AdamWOptions&);
STRAIT_INSTANTIATE(float)
STRAIT_INSTANTIATE(double)
#undef STRAIT_INSTANTIATE

}  // namespace strait::kernels
