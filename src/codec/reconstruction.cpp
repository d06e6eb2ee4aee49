#include "reconstruction.hpp"

#include "strait/kernels/elementwise.hpp"

#include <cmath>

namespace strait::codec {

template <class T>
double reconstruction_error(const ExecutionSpace& exec, ConstMatrix<T> x, const Matrix<T>& found) {
  kernels::combine<T>(exec, found, 1.0, x, -1.0, found);
  const double whole = kernels::sum_of_squares<T>(exec, x);
  const double lost = kernels::sum_of_squares<T>(exec, found);
  return whole > 0.0 ? std::sqrt(lost / whole) : 0.0;
}

template double reconstruction_error<float>(const ExecutionSpace&, ConstMatrix<float>, const Matrix<float>&);
template double reconstruction_error<double>(const ExecutionSpace&, ConstMatrix<double>,
                                             const Matrix<double>&);

}  // namespace strait::codec
