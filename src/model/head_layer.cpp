#include "head_layer.hpp"

#include "strait/kernels/cross_entropy.hpp"
#include "strait/kernels/matmul.hpp"
#include "strait/kernels/rms_norm.hpp"

namespace strait::model {

template <class T>
void HeadLayer<T>::forward(const ExecutionSpace& exec, const Vector<double>& loss_sum, const Matrix<T>& x,
                           const TokenIds& targets, const HeadParameters<T>& weights) const {
  kernels::rms_norm_forward<T>(exec, normalised, rstd, x, weights.gain, norm_epsilon);
  kernels::cross_entropy_forward<T>(exec, loss_sum, normalised, weights.projection, targets);
}

template <class T>
void HeadLayer<T>::backward(const ExecutionSpace& exec, const Vector<double>& loss_sum, const Matrix<T>& dx,
                            const Matrix<T>& x, const TokenIds& targets, const HeadParameters<T>& weights,
                            const HeadParameters<Compute<T>>& gradients, double loss_scale) const {
  kernels::rms_norm_forward<T>(exec, normalised, rstd, x, weights.gain, norm_epsilon);
  const Matrix<T>& dy = normalised;
  kernels::cross_entropy_forward_backward<T>(exec, loss_sum, dy, gradients.projection, normalised,
                                             weights.projection, targets, {.gradient_scale = loss_scale});
  kernels::rms_norm_backward_weight<T>(exec, gradients.gain, dy, x, rstd);
  kernels::rms_norm_backward_input<T>(exec, dx, dy, Matrix<T>(), x, rstd, weights.gain);
}

template <class T>
void HeadLayer<T>::logits(const ExecutionSpace& exec, const Matrix<Compute<T>>& logits, const Matrix<T>& x,
                          const HeadParameters<T>& weights) const {
  const auto n = static_cast<std::int64_t>(x.extent(0));
  const auto y = rows(normalised, 0, n);
  const Vector<Compute<T>> scale = Kokkos::subview(rstd, std::make_pair(std::int64_t{0}, n));
  kernels::rms_norm_forward<T>(exec, y, scale, x, weights.gain, norm_epsilon);
  kernels::matmul<Compute<T>, T>(exec, logits, y, weights.projection, {.b = kernels::Transpose::yes});
}

template struct HeadLayer<float>;
template struct HeadLayer<double>;
template struct HeadLayer<bfloat16>;

}  // namespace strait::model
