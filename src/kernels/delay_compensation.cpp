#include "strait/kernels/delay_compensation.hpp"

#include "strait/core/error.hpp"

namespace strait::kernels {

template <class T>
void compensate_delay(const ExecutionSpace& exec, const Vector<T>& c, ConstVector<T> g, ConstVector<T> now,
                      ConstVector<T> then, const DelayCompensationOptions& options) {
  ensure(g.extent(0) == c.extent(0) && now.extent(0) == c.extent(0) && then.extent(0) == c.extent(0),
         "compensate_delay: extents do not match");
  const auto strength = static_cast<T>(options.strength);
  const auto scale = static_cast<T>(options.gradient_scale);
  Kokkos::parallel_for(
      "strait::delay_compensation::step", RangePolicy(exec, 0, c.extent(0)), KOKKOS_LAMBDA(std::int64_t i) {
        const T gradient = scale * g(i);
        c(i) = gradient + strength * gradient * gradient * (now(i) - then(i));
      });
}

#define STRAIT_INSTANTIATE(T)                                                                                \
  template void compensate_delay<T>(const ExecutionSpace&, const Vector<T>&, ConstVector<T>, ConstVector<T>, \
                                    ConstVector<T>, const DelayCompensationOptions&);
STRAIT_INSTANTIATE(float)
STRAIT_INSTANTIATE(double)
#undef STRAIT_INSTANTIATE

}  // namespace strait::kernels
