#include "hdf5_internal.hpp"

#include <memory>

namespace strait::io {

using hdf5_detail::checked;
using hdf5_detail::Handle;

namespace {

/// Replaces attribute `name` of an object and writes `data`.
void write_attribute(const hdf5_detail::FileState& file, const Handle& object, const std::string& where,
                     const std::string& name, hid_t stored_type, hid_t memory_type, const Handle& space,
                     const void* data) {
  const auto place = where + "@" + name;
  if (checked(H5Aexists(object.id(), name.c_str()), place, "look up attribute") > 0) {
    checked(H5Adelete(object.id(), name.c_str()), place, "replace attribute");
  }
  const Handle attribute(
      checked(H5Acreate2(object.id(), name.c_str(), stored_type, space.id(), H5P_DEFAULT, H5P_DEFAULT), place,
              "create attribute"));
  checked(H5Awrite(attribute.id(), memory_type, data), place, "write attribute");
  hdf5_detail::check_written(file, place, "write attribute");
}

Handle open_attribute(const Handle& object, const std::string& place, const std::string& name) {
  return Handle(checked(H5Aopen(object.id(), name.c_str(), H5P_DEFAULT), place, "read attribute"));
}

void expect_class(const Handle& attribute, const std::string& place, H5T_class_t expected,
                  const char* expected_name) {
  const Handle type(checked(H5Aget_type(attribute.id()), place, "read attribute"));
  if (H5Tget_class(type.id()) != expected) fail(ExitCode::io, "{}: is not {}", place, expected_name);
}

std::size_t element_count_of(const Handle& attribute, const std::string& place) {
  const Handle space(checked(H5Aget_space(attribute.id()), place, "read attribute"));
  return static_cast<std::size_t>(checked(H5Sget_simple_extent_npoints(space.id()), place, "read attribute"));
}

void expect_one(const Handle& attribute, const std::string& place) {
  const auto count = element_count_of(attribute, place);
  if (count != 1) fail(ExitCode::io, "{}: holds {} values, expected one", place, count);
}

template <class T>
T read_number(const Handle& object, const std::string& place, const std::string& name, H5T_class_t expected,
              const char* expected_name, hid_t memory_type) {
  const auto attribute = open_attribute(object, place, name);
  expect_class(attribute, place, expected, expected_name);
  expect_one(attribute, place);
  T value = 0;
  checked(H5Aread(attribute.id(), memory_type, &value), place, "read attribute");
  return value;
}

/// Texts of fixed or variable length.
std::vector<std::string> read_texts(const Handle& attribute, const std::string& place) {
  expect_class(attribute, place, H5T_STRING, "a text");
  const auto count = element_count_of(attribute, place);
  const Handle stored(checked(H5Aget_type(attribute.id()), place, "read attribute"));
  std::vector<std::string> values;
  if (checked(H5Tis_variable_str(stored.id()), place, "read attribute") > 0) {
    const auto type = hdf5_detail::text_type(H5T_VARIABLE);
    std::vector<char*> pointers(count, nullptr);
    checked(H5Aread(attribute.id(), type.id(), pointers.data()), place, "read attribute");
    for (char* text : pointers) {
      values.emplace_back(text ? text : "");
      if (text) H5free_memory(text);
    }
  } else {
    const auto width = H5Tget_size(stored.id());
    std::string bytes(count * width, '\0');
    checked(H5Aread(attribute.id(), stored.id(), bytes.data()), place, "read attribute");
    for (std::size_t i = 0; i < count; ++i) values.emplace_back(bytes.substr(i * width, width).c_str());
  }
  return values;
}

}  // namespace

std::string Object::where() const { return hdf5_detail::in_file(*file_, path_); }

bool Object::has_attribute(const std::string& name) const {
  return checked(H5Aexists(handle_.id(), name.c_str()), where() + "@" + name, "look up attribute") > 0;
}

void Object::set_integer_attribute(const std::string& name, std::int64_t value) {
  write_attribute(*file_, handle_, where(), name, H5T_STD_I64LE, H5T_NATIVE_INT64,
                  hdf5_detail::data_space({}), &value);
}

void Object::set_real_attribute(const std::string& name, double value) {
  write_attribute(*file_, handle_, where(), name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE,
                  hdf5_detail::data_space({}), &value);
}

void Object::set_attribute(const std::string& name, const std::string& value) {
  const auto type = hdf5_detail::text_type(H5T_VARIABLE);
  const char* text = value.c_str();
  write_attribute(*file_, handle_, where(), name, type.id(), type.id(), hdf5_detail::data_space({}), &text);
}

void Object::set_attribute(const std::string& name, const std::vector<std::string>& values) {
  const auto type = hdf5_detail::text_type(H5T_VARIABLE);
  std::vector<const char*> texts;
  for (const auto& value : values) texts.push_back(value.c_str());
  write_attribute(*file_, handle_, where(), name, type.id(), type.id(),
                  hdf5_detail::data_space({static_cast<std::int64_t>(values.size())}), texts.data());
}

template <>
std::int64_t Object::attribute(const std::string& name) const {
  return read_number<std::int64_t>(handle_, where() + "@" + name, name, H5T_INTEGER, "an integer",
                                   H5T_NATIVE_INT64);
}

template <>
double Object::attribute(const std::string& name) const {
  return read_number<double>(handle_, where() + "@" + name, name, H5T_FLOAT, "a real number",
                             H5T_NATIVE_DOUBLE);
}

template <>
std::string Object::attribute(const std::string& name) const {
  const auto place = where() + "@" + name;
  const auto attribute = open_attribute(handle_, place, name);
  expect_one(attribute, place);
  return read_texts(attribute, place).front();
}

template <>
std::vector<std::string> Object::attribute(const std::string& name) const {
  const auto place = where() + "@" + name;
  return read_texts(open_attribute(handle_, place, name), place);
}

}  // namespace strait::io
