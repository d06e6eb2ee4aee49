#include "strait/optim/grassmann.hpp"

#include "strait/core/host_mirror.hpp"
#include "strait/kernels/elementwise.hpp"
#include "strait/kernels/matmul.hpp"
#include "strait/kernels/orthonormal.hpp"

namespace strait::optim {

using kernels::Transpose;

template <class T>
void grassmann_step(const ExecutionSpace& exec, const Matrix<T>& next, ConstMatrix<T> u, const Matrix<T>& cu,
                    double rate) {
  const auto rank = static_cast<std::int64_t>(u.extent(1));
  const Matrix<T> carried("strait::optim::carried", rank, rank);  // U^T C U
  kernels::matmul<T>(exec, carried, u, cu, {.a = Transpose::yes});
  const auto host = to_host(exec, carried);
  double energy = 0.0;
  for (std::int64_t i = 0; i < rank; ++i) energy += static_cast<double>(host(i, i));
  kernels::copy<T>(exec, next, u);
  if (!(energy > 0.0)) return;
  const double step = rate * static_cast<double>(rank) / energy;
  kernels::matmul<T>(exec, cu, u, carried, {.alpha = -1.0, .beta = 1.0});
  kernels::combine<T>(exec, next, step, cu, 1.0, next);
  kernels::orthonormalize<T>(exec, next);
}

template void grassmann_step<float>(const ExecutionSpace&, const Matrix<float>&, ConstMatrix<float>,
                                    const Matrix<float>&, double);
template void grassmann_step<double>(const ExecutionSpace&, const Matrix<double>&, ConstMatrix<double>,
                                     const Matrix<double>&, double);

}  // namespace strait::optim
