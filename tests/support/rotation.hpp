#pragma once
// Optimisers with bases, and their bases, for tests.

#include "strait/io/tensor.hpp"
#include "strait/kernels/orthonormal.hpp"
#include "strait/optim/optimizer.hpp"

#include "support/optimizers.hpp"
#include "support/temporary_directory.hpp"
#include "support/tensors.hpp"

#include <string>

namespace strait::test {

inline optim::OptimizerConfig rotation(const std::string& source = "second", bool two_sided = true,
                                       std::int64_t refresh = 4) {
  auto config = constant_rate("basis-rotation", 1e-2);
  config.source = source;
  config.two_sided = two_sided;
  config.refresh = refresh;
  return config;
}

template <class T>
Matrix<T> random_basis(const ExecutionSpace& exec, std::int64_t order, std::uint64_t seed) {
  const Matrix<T> basis("strait::test::basis", order, order);
  kernels::fill_orthonormal<T>(exec, basis, seed, 1);
  return basis;
}

/// Gives `optimizer`, which has taken no step, the bases of one matrix; extents 0 for none on a side.
template <class T>
void inject(const ExecutionSpace& exec, optim::Optimizer<T>& optimizer, const std::string& name,
            const Matrix<T>& left, const Matrix<T>& right) {
  const TemporaryDirectory folder;
  auto file = io::File::create(folder.file("state.h5"));
  optimizer.save(exec, file.root());
  if (left.size() > 0) io::write_tensor(file.root().group("left"), name, exec, left);
  if (right.size() > 0) io::write_tensor(file.root().group("right"), name, exec, right);
  optimizer.load(exec, file.root());
}

/// A basis of an optimiser: `side` is left or right, vectors in rows.
template <class T>
Matrix<T> basis_of(const ExecutionSpace& exec, const optim::Optimizer<T>& optimizer, const std::string& side,
                   const std::string& name, std::int64_t order) {
  const TemporaryDirectory folder;
  auto file = io::File::create(folder.file("state.h5"));
  optimizer.save(exec, file.root());
  const Matrix<T> basis("strait::test::basis", order, order);
  io::read_tensor(file.root().group(side), name, exec, basis);
  return basis;
}

}  // namespace strait::test
