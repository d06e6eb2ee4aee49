#include "strait/kernels/adamw.hpp"

#include "strait/core/error.hpp"

#include <cmath>

namespace strait::kernels {

template <class T>
void adamw(const ExecutionSpace& exec, const Vector<T>& weights, const Vector<T>& m, const Vector<T>& v,
           ConstVector<T> gradients, const AdamWOptions& options) {
  ensure(m.extent(0) == weights.extent(0) && v.extent(0) == weights.extent(0) &&
             gradients.extent(0) == weights.extent(0),
         "adamw: extents do not match");
  const double t = static_cast<double>(options.step);
  const T beta1 = static_cast<T>(options.beta1), rest1 = static_cast<T>(1.0 - options.beta1);
  const T beta2 = static_cast<T>(options.beta2), rest2 = static_cast<T>(1.0 - options.beta2);
  const T step_size = static_cast<T>(options.learning_rate / (1.0 - std::pow(options.beta1, t)));
  const T correction = static_cast<T>(1.0 / (1.0 - std::pow(options.beta2, t)));
  const T epsilon = static_cast<T>(options.epsilon);
  const T kept = static_cast<T>(1.0 - options.learning_rate * options.weight_decay);
  const T scale = static_cast<T>(options.gradient_scale);
  Kokkos::parallel_for(
      "strait::adamw::step", RangePolicy(exec, 0, weights.extent(0)), KOKKOS_LAMBDA(std::int64_t i) {
        const T g = gradients(i) * scale;
        const T mean = beta1 * m(i) + rest1 * g;
        const T square = beta2 * v(i) + rest2 * g * g;
        m(i) = mean;
        v(i) = square;
        weights(i) = kept * weights(i) - step_size * mean / (math::sqrt(square * correction) + epsilon);
      });
}

template void adamw<float>(const ExecutionSpace&, const Vector<float>&, const Vector<float>&,
                           const Vector<float>&, ConstVector<float>, const AdamWOptions&);
template void adamw<double>(const ExecutionSpace&, const Vector<double>&, const Vector<double>&,
                            const Vector<double>&, ConstVector<double>, const AdamWOptions&);

}  // namespace strait::kernels
