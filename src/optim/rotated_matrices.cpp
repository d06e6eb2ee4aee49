#include "rotated_matrices.hpp"

#include "strait/kernels/matmul.hpp"
#include "strait/kernels/rotated_adam.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace strait::optim {

using kernels::matmul;
using kernels::Transpose;

template <class T>
typename RotatedMatrices<T>::Extents RotatedMatrices<T>::extents_of(const model::ParameterLayout& matrices) {
  Extents extents;
  for (const auto& info : matrices.entries()) {
    extents.side = std::max({extents.side, info.rows, info.columns});
    extents.size = std::max(extents.size, info.size());
  }
  extents.scratch = std::max(3 * extents.size, extents.side * extents.side);
  return extents;
}

template <class T>
typename RotatedMatrices<T>::Side RotatedMatrices<T>::make_side(const model::ParameterLayout& matrices,
                                                                RotationKind kind, bool left) {
  Side side;
  for (const auto& info : matrices.entries()) {
    const bool rotates = kind.two_sided || left == (info.rows < info.columns);
    const std::int64_t order = left ? info.rows : info.columns;
    side.index.push_back(rotates ? side.layout.add(info.name, info.role, order, order, info.shared) : -1);
  }
  return side;
}

template <class T>
RotatedMatrices<T>::RotatedMatrices(const model::ParameterLayout& matrices, RotationKind kind)
    : kind_(kind),
      layout_(matrices),
      extents_(extents_of(matrices)),
      mean_("strait::optim::mean", matrices.size()),
      square_("strait::optim::square", matrices.size()),
      left_(make_side(matrices, kind, true)),
      right_(make_side(matrices, kind, false)),
      has_basis_(matrices.entries().size(), false),
      scratch_(Kokkos::view_alloc(Kokkos::WithoutInitializing, "strait::optim::scratch"), extents_.scratch),
      carried_("strait::optim::carried", extents_.side),
      position_("strait::optim::position", 2 * extents_.side),
      decomposer_(extents_.side) {
  if (count() == 0) {
    fail(ExitCode::deck,
         "[optimizer] name: basis-rotation and soap need a matrix of attention or feed-forward to rotate, "
         "which a "
         "stage lacks");
  }
  for (Side* side : {&left_, &right_}) {
    side->basis = Vector<T>("strait::optim::basis", side->layout.size());
    if (!kind.from_mean) side->gram = Vector<T>("strait::optim::gram", side->layout.size());
  }
}

template <class T>
std::int64_t RotatedMatrices<T>::bytes_needed(const model::ParameterLayout& matrices, RotationKind kind) {
  const Extents extents = extents_of(matrices);
  const std::int64_t squares =
      make_side(matrices, kind, true).layout.size() + make_side(matrices, kind, false).layout.size();
  const std::int64_t elements =
      2 * matrices.size() + (kind.from_mean ? 1 : 2) * squares + extents.scratch + extents.side;
  return elements * static_cast<std::int64_t>(sizeof(T)) +
         2 * extents.side * static_cast<std::int64_t>(sizeof(int)) +
         kernels::Decomposer<T>::bytes_needed(extents.side);
}

template <class T>
Matrix<T> RotatedMatrices<T>::square_of(const Side& side, const Vector<T>& flat, int index) {
  return side.index[index] < 0 ? Matrix<T>() : side.layout.view(flat, side.index[index]);
}

template <class T>
Matrix<T> RotatedMatrices<T>::scratch(int which, std::int64_t row_count, std::int64_t column_count) const {
  const std::int64_t offset = which * extents_.size;
  ensure(offset + row_count * column_count <= extents_.scratch, "rotated matrices: too little scratch");
  return as_matrix(scratch_, offset, row_count, column_count);
}

template <class T>
void RotatedMatrices<T>::gather(const ExecutionSpace& exec, int index, ConstMatrix<T> gradient, double scale,
                                double decay) const {
  if (kind_.from_mean) return;
  const double share = (1.0 - decay) * scale * scale;
  const auto l = square_of(left_, left_.gram, index), r = square_of(right_, right_.gram, index);
  if (l.size() > 0) {
    matmul<T>(exec, l, gradient, gradient, {.b = Transpose::yes, .alpha = share, .beta = decay});
  }
  if (r.size() > 0) {
    matmul<T>(exec, r, gradient, gradient, {.a = Transpose::yes, .alpha = share, .beta = decay});
  }
}

template <class T>
void RotatedMatrices<T>::rotate(const ExecutionSpace& exec, int index, const Matrix<T>& y, ConstMatrix<T> x,
                                double scale) const {
  const auto left = square_of(left_, left_.basis, index), right = square_of(right_, right_.basis, index);
  if (right.size() == 0) {
    matmul<T>(exec, y, left, x, {.alpha = scale});
    return;
  }
  ConstMatrix<T> half = x;
  if (left.size() > 0) {
    const auto rotated = scratch(2, x.extent(0), x.extent(1));
    matmul<T>(exec, rotated, left, x);
    half = rotated;
  }
  matmul<T>(exec, y, half, right, {.b = Transpose::yes, .alpha = scale});
}

template <class T>
void RotatedMatrices<T>::scale_mean(const ExecutionSpace& exec, int index, ConstMatrix<T> gradient,
                                    double scale, double beta2, double epsilon) const {
  const auto m = mean(index);
  const auto direction = scratch(0, m.extent(0), m.extent(1)), g = scratch(1, m.extent(0), m.extent(1));
  rotate(exec, index, g, gradient, scale);
  rotate(exec, index, direction, m, 1.0);
  const auto size = static_cast<std::int64_t>(m.size());
  kernels::rotated_adam<T>(exec, Vector<T>(direction.data(), size),
                           Vector<T>(layout_.view(square_, index).data(), size), Vector<T>(g.data(), size),
                           {.beta2 = beta2, .epsilon = epsilon});
}

template <class T>
void RotatedMatrices<T>::step_along(const ExecutionSpace& exec, int index, const Matrix<T>& weight,
                                    double rate, double kept) const {
  const auto left = square_of(left_, left_.basis, index), right = square_of(right_, right_.basis, index);
  const auto direction = scratch(0, weight.extent(0), weight.extent(1));
  if (right.size() == 0) {
    matmul<T>(exec, weight, left, direction, {.a = Transpose::yes, .alpha = rate, .beta = kept});
    return;
  }
  ConstMatrix<T> half = direction;
  if (left.size() > 0) {
    const auto rotated = scratch(2, weight.extent(0), weight.extent(1));
    matmul<T>(exec, rotated, left, direction, {.a = Transpose::yes});
    half = rotated;
  }
  matmul<T>(exec, weight, half, right, {.alpha = rate, .beta = kept});
}

template <class T>
void RotatedMatrices<T>::save(const ExecutionSpace& exec, io::Group group) const {
  model::save_parameters(exec, group.require_group("mean"), layout_, mean_);
  model::save_parameters(exec, group.require_group("square"), layout_, square_);
  const auto with_basis = [this](const model::ParameterInfo& info) {
    for (int i = 0; i < count(); ++i) {
      if (layout_.entries()[i].name == info.name) return has_basis_[i] ? info.name : std::string();
    }
    return std::string();
  };
  for (const auto& [side, name] : {std::pair{&left_, "left"}, {&right_, "right"}}) {
    model::save_parameters(exec, group.require_group(name), side->layout, side->basis, with_basis);
    if (kind_.from_mean) continue;
    const auto squares = group.require_group(std::string(name) + "_gram");
    model::save_parameters(exec, squares, side->layout, side->gram);
  }
}

template <class T>
void RotatedMatrices<T>::load(const ExecutionSpace& exec, const io::Group& group,
                              const model::StoredName& stored_name) {
  model::load_parameters(exec, group.group("mean"), layout_, mean_, stored_name);
  model::load_parameters(exec, group.group("square"), layout_, square_, stored_name);
  for (const auto& [side, name] : {std::pair{&left_, "left"}, {&right_, "right"}}) {
    const auto bases = group.group(name);
    const auto stored_basis = [&](const model::ParameterInfo& info) {
      const std::string stored = stored_name(info);
      return stored.empty() || !bases.has(stored) ? std::string() : stored;
    };
    model::load_parameters(exec, bases, side->layout, side->basis, stored_basis);
    for (int i = 0; i < count(); ++i) {
      if (side->index[i] >= 0) has_basis_[i] = !stored_basis(side->layout.entries()[side->index[i]]).empty();
    }
    if (kind_.from_mean) continue;
    const auto squares = group.group(std::string(name) + "_gram");
    model::load_parameters(exec, squares, side->layout, side->gram, stored_name);
  }
}

template class RotatedMatrices<float>;
template class RotatedMatrices<double>;

}  // namespace strait::optim
