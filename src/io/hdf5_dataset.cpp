#include "hdf5_internal.hpp"

#include <algorithm>
#include <cstring>

namespace strait::io {

using hdf5_detail::check_written;
using hdf5_detail::checked;
using hdf5_detail::Handle;

namespace {

bool is_real(ElementType type) { return type == ElementType::float32 || type == ElementType::float64; }

/// Integers are never converted: a narrowing would clip silently.
void expect_convertible(const Dataset& dataset, ElementType memory) {
  const auto stored = dataset.type();
  if (stored != memory && !(is_real(stored) && is_real(memory))) {
    fail(ExitCode::io, "{}: holds {}, expected {}", dataset.where(), name(stored), name(memory));
  }
}

/// The two sides of a transfer: the buffer, and the block of the file (or all of it).
struct Selection {
  Handle memory;
  Handle file;
  hid_t memory_id() const { return memory.id() < 0 ? H5S_ALL : memory.id(); }
  hid_t file_id() const { return file.id() < 0 ? H5S_ALL : file.id(); }
};

Selection select(hid_t dataset, const std::string& place, const Hyperslab* block) {
  if (!block) return {};
  const std::vector<hsize_t> start(block->start.begin(), block->start.end());
  const std::vector<hsize_t> count(block->count.begin(), block->count.end());
  Handle file(checked(H5Dget_space(dataset), place, "select a block"));
  const auto rank = static_cast<std::size_t>(H5Sget_simple_extent_ndims(file.id()));
  ensure(start.size() == rank && count.size() == rank, "a block has the dataset's number of dimensions");
  checked(H5Sselect_hyperslab(file.id(), H5S_SELECT_SET, start.data(), nullptr, count.data(), nullptr), place,
          "select a block");
  return {hdf5_detail::data_space(block->count), std::move(file)};
}

std::size_t text_width(hid_t dataset, const std::string& place) {
  const Handle type(checked(H5Dget_type(dataset), place, "read"));
  if (H5Tget_class(type.id()) != H5T_STRING) fail(ExitCode::io, "{}: is not text", place);
  return H5Tget_size(type.id());
}

}  // namespace

Shape Dataset::shape() const {
  const Handle space(checked(H5Dget_space(handle_.id()), where(), "read the shape"));
  std::vector<hsize_t> extents(
      static_cast<std::size_t>(checked(H5Sget_simple_extent_ndims(space.id()), where(), "read the shape")));
  checked(H5Sget_simple_extent_dims(space.id(), extents.data(), nullptr), where(), "read the shape");
  return Shape(extents.begin(), extents.end());
}

ElementType Dataset::type() const {
  const Handle stored(checked(H5Dget_type(handle_.id()), where(), "read the element type"));
  if (H5Tget_class(stored.id()) == H5T_STRING && H5Tis_variable_str(stored.id()) == 0) {
    return ElementType::text;
  }
  for (const auto type : {ElementType::float32, ElementType::float64, ElementType::int32, ElementType::int64,
                          ElementType::uint8, ElementType::uint16}) {
    if (H5Tequal(stored.id(), hdf5_detail::file_type(type)) > 0) return type;
  }
  fail(ExitCode::io, "{}: has an element type that is not supported", where());
}

void Dataset::write_raw(const void* data, ElementType type, const Hyperslab* block) {
  expect_convertible(*this, type);
  const auto selection = select(handle_.id(), where(), block);
  checked(H5Dwrite(handle_.id(), hdf5_detail::memory_type(type), selection.memory_id(), selection.file_id(),
                   H5P_DEFAULT, data),
          where(), "write");
  check_written(*file_, where(), "write");
}

void Dataset::read_raw(void* data, ElementType type, const Hyperslab* block) const {
  expect_convertible(*this, type);
  const auto selection = select(handle_.id(), where(), block);
  checked(H5Dread(handle_.id(), hdf5_detail::memory_type(type), selection.memory_id(), selection.file_id(),
                  H5P_DEFAULT, data),
          where(), "read");
}

void Dataset::append_raw(const void* data, ElementType type, std::int64_t rows) {
  const auto before = shape();
  resize(before.at(0) + rows);
  Hyperslab block{Shape(before.size(), 0), before};
  block.start[0] = before[0];
  block.count[0] = rows;
  write_raw(data, type, &block);
}

void Dataset::write_text(const std::vector<std::string>& values) {
  const auto width = text_width(handle_.id(), where());
  ensure(shape() == Shape{static_cast<std::int64_t>(values.size())}, "as many texts as the dataset holds");
  std::vector<char> bytes(values.size() * width, '\0');
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::memcpy(bytes.data() + i * width, values[i].data(), std::min(width, values[i].size()));
  }
  const auto type = hdf5_detail::text_type(width);
  checked(H5Dwrite(handle_.id(), type.id(), H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes.data()), where(), "write");
  check_written(*file_, where(), "write");
}

std::vector<std::string> Dataset::read_text() const {
  const auto width = text_width(handle_.id(), where());
  const auto count = static_cast<std::size_t>(element_count(shape()));
  std::string bytes(count * width, '\0');
  const auto type = hdf5_detail::text_type(width);
  checked(H5Dread(handle_.id(), type.id(), H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes.data()), where(), "read");
  std::vector<std::string> values;
  for (std::size_t i = 0; i < count; ++i) values.emplace_back(bytes.substr(i * width, width).c_str());
  return values;
}

void Dataset::resize(std::int64_t rows) {
  const auto before = shape();
  std::vector<hsize_t> extents(before.begin(), before.end());
  extents.at(0) = static_cast<hsize_t>(rows);
  checked(H5Dset_extent(handle_.id(), extents.data()), where(), "resize");
  check_written(*file_, where(), "resize");
}

void Dataset::flush() {
  checked(H5Dflush(handle_.id()), where(), "write");
  check_written(*file_, where(), "write");
}

void Dataset::describe(const std::string& units, const std::string& long_name) {
  set_attribute("units", units);
  set_attribute("long_name", long_name);
}

}  // namespace strait::io
