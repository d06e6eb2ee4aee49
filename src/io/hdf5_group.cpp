#include "hdf5_internal.hpp"

#include <algorithm>

namespace strait::io {

using hdf5_detail::check_written;
using hdf5_detail::checked;
using hdf5_detail::Handle;

namespace {

Handle creating_missing_groups() {
  Handle properties(H5Pcreate(H5P_LINK_CREATE));
  ensure(H5Pset_create_intermediate_group(properties.id(), 1) >= 0, "HDF5 refuses the link properties");
  return properties;
}

Handle chunked(const Shape& chunk) {
  Handle properties(H5Pcreate(H5P_DATASET_CREATE));
  const std::vector<hsize_t> extents(chunk.begin(), chunk.end());
  ensure(H5Pset_chunk(properties.id(), static_cast<int>(extents.size()), extents.data()) >= 0,
         "HDF5 refuses the chunk's shape");
  return properties;
}

Handle growing_space(const Shape& row_shape) {
  std::vector<hsize_t> extents(row_shape.begin(), row_shape.end());
  extents.insert(extents.begin(), 0);
  auto largest = extents;
  largest.front() = H5S_UNLIMITED;
  Handle space(H5Screate_simple(static_cast<int>(extents.size()), extents.data(), largest.data()));
  ensure(space.id() >= 0, "HDF5 refuses a shape");
  return space;
}

Handle new_dataset(const Handle& group, const std::string& place, const std::string& name, hid_t type,
                   const Handle& space, hid_t properties) {
  return Handle(checked(H5Dcreate2(group.id(), name.c_str(), type, space.id(), creating_missing_groups().id(),
                                   properties, H5P_DEFAULT),
                        place, "create"));
}

}  // namespace

std::string Group::child_path(const std::string& name) const {
  return path_ == "/" ? path_ + name : path_ + "/" + name;
}

bool Group::has(const std::string& name) const {
  const auto place = hdf5_detail::in_file(*file_, child_path(name));
  // HDF5 fails, rather than answers no, where a group on the way is missing.
  for (auto end = name.find('/'); end != std::string::npos; end = name.find('/', end + 1)) {
    if (checked(H5Lexists(handle_.id(), name.substr(0, end).c_str(), H5P_DEFAULT), place, "look up") == 0) {
      return false;
    }
  }
  return checked(H5Lexists(handle_.id(), name.c_str(), H5P_DEFAULT), place, "look up") > 0;
}

bool Group::is_group(const std::string& name) const {
  const auto place = hdf5_detail::in_file(*file_, child_path(name));
  if (!has(name)) return false;
  const Handle object(checked(H5Oopen(handle_.id(), name.c_str(), H5P_DEFAULT), place, "open"));
  return H5Iget_type(object.id()) == H5I_GROUP;
}

bool Group::is_dataset(const std::string& name) const { return has(name) && !is_group(name); }

std::vector<std::string> Group::children() const {
  std::vector<std::string> names;
  const auto add = [](hid_t, const char* name, const H5L_info_t*, void* result) -> herr_t {
    static_cast<std::vector<std::string>*>(result)->emplace_back(name);
    return 0;
  };
  checked(H5Literate(handle_.id(), H5_INDEX_NAME, H5_ITER_NATIVE, nullptr, add, &names), where(), "list");
  std::sort(names.begin(), names.end());
  return names;
}

Group Group::group(const std::string& name) const {
  const auto path = child_path(name);
  const auto place = hdf5_detail::in_file(*file_, path);
  if (!has(name)) fail(ExitCode::io, "{}: there is no such group", place);
  return Group(file_, Handle(checked(H5Gopen2(handle_.id(), name.c_str(), H5P_DEFAULT), place, "open")),
               path);
}

Group Group::create_group(const std::string& name) {
  const auto path = child_path(name);
  const auto place = hdf5_detail::in_file(*file_, path);
  Handle handle(checked(
      H5Gcreate2(handle_.id(), name.c_str(), creating_missing_groups().id(), H5P_DEFAULT, H5P_DEFAULT), place,
      "create"));
  check_written(*file_, place, "create");
  return Group(file_, std::move(handle), path);
}

Group Group::require_group(const std::string& name) { return has(name) ? group(name) : create_group(name); }

Dataset Group::dataset(const std::string& name) const {
  const auto path = child_path(name);
  const auto place = hdf5_detail::in_file(*file_, path);
  if (!has(name)) fail(ExitCode::io, "{}: there is no such dataset", place);
  return Dataset(file_, Handle(checked(H5Dopen2(handle_.id(), name.c_str(), H5P_DEFAULT), place, "open")),
                 path);
}

Dataset Group::create_dataset(const std::string& name, ElementType type, const Shape& shape) {
  const auto path = child_path(name);
  const auto place = hdf5_detail::in_file(*file_, path);
  auto handle = new_dataset(handle_, place, name, hdf5_detail::file_type(type),
                            hdf5_detail::data_space(shape), H5P_DEFAULT);
  check_written(*file_, place, "create");
  return Dataset(file_, std::move(handle), path);
}

Dataset Group::create_extendible(const std::string& name, ElementType type, std::int64_t chunk_rows,
                                 const Shape& row_shape) {
  const auto path = child_path(name);
  const auto place = hdf5_detail::in_file(*file_, path);
  auto chunk = row_shape;
  chunk.insert(chunk.begin(), chunk_rows);
  auto handle = new_dataset(handle_, place, name, hdf5_detail::file_type(type), growing_space(row_shape),
                            chunked(chunk).id());
  check_written(*file_, place, "create");
  return Dataset(file_, std::move(handle), path);
}

Dataset Group::create_extendible_text(const std::string& name, std::int64_t chunk_rows, int width) {
  const auto path = child_path(name);
  const auto place = hdf5_detail::in_file(*file_, path);
  auto handle =
      new_dataset(handle_, place, name, hdf5_detail::text_type(static_cast<std::size_t>(width)).id(),
                  growing_space({}), chunked({chunk_rows}).id());
  check_written(*file_, place, "create");
  return Dataset(file_, std::move(handle), path);
}

void Group::remove(const std::string& name) {
  const auto place = hdf5_detail::in_file(*file_, child_path(name));
  checked(H5Ldelete(handle_.id(), name.c_str(), H5P_DEFAULT), place, "remove");
  check_written(*file_, place, "remove");
}

void Group::expect_shape(const Dataset& dataset, const Shape& shape) {
  const auto actual = dataset.shape();
  if (actual != shape) {
    fail(ExitCode::io, "{}: has shape {}, expected {}", dataset.where(), to_string(actual), to_string(shape));
  }
}

}  // namespace strait::io
