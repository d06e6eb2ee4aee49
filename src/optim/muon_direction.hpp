#pragma once
// The direction in which Muon moves one matrix.

#include "strait/kernels/elementwise.hpp"
#include "strait/kernels/msign.hpp"

namespace strait::optim {

struct MuonOptions {
  double momentum = 0.95;
  bool nesterov = true;
  double gradient_scale = 1.0;
  int iterations = 5;
};

/// m <- momentum m + g, with g scaled; direction = msign(g + momentum m), of m without Nesterov's look-ahead.
template <class T>
void muon_direction(const ExecutionSpace& exec, const Matrix<T>& direction, const Matrix<T>& m,
                    ConstMatrix<T> gradient, const kernels::PolarWorkspace<T>& workspace,
                    const MuonOptions& options) {
  kernels::combine<T>(exec, m, options.gradient_scale, gradient, options.momentum, m);
  if (options.nesterov) {
    kernels::combine<T>(exec, direction, options.gradient_scale, gradient, options.momentum, m);
  }
  kernels::msign<T>(exec, direction, options.nesterov ? direction : m, workspace,
                    {.iterations = options.iterations});
}

}  // namespace strait::optim
