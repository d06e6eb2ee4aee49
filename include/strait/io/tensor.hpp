#pragma once
// Tensors in HDF5 files, through host copies.

#include "strait/core/host_mirror.hpp"
#include "strait/io/hdf5.hpp"

#include <string>

namespace strait::io {

/// Extents of a View.
template <class View>
Shape shape_of(const View& view) {
  Shape shape;
  for (unsigned i = 0; i < static_cast<unsigned>(View::rank); ++i) {
    shape.push_back(static_cast<std::int64_t>(view.extent(i)));
  }
  return shape;
}

/// A new dataset `name` with the contents of `view`; waits for `exec`.
template <class View>
void write_tensor(Group group, const std::string& name, const ExecutionSpace& exec, const View& view) {
  const auto host = to_host(exec, view);
  group.write(name, host.data(), shape_of(view));
}

/// Fills `view` from dataset `name`, which must have its shape; the precision may differ. Waits for `exec`.
template <class View>
void read_tensor(const Group& group, const std::string& name, const ExecutionSpace& exec, const View& view) {
  const auto host = host_like(view);
  group.read(name, host.data(), shape_of(view));
  to_device(exec, view, host);
}

}  // namespace strait::io
