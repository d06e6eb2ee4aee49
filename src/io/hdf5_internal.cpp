#include "hdf5_internal.hpp"

#include <cstring>
#include <string_view>

namespace strait::io {

const char* name(ElementType type) {
  switch (type) {
    case ElementType::float32:
      return "float32";
    case ElementType::float64:
      return "float64";
    case ElementType::int32:
      return "int32";
    case ElementType::int64:
      return "int64";
    case ElementType::uint8:
      return "uint8";
    case ElementType::uint16:
      return "uint16";
    case ElementType::text:
      return "text";
  }
  return "unknown";
}

std::int64_t element_count(const Shape& shape) {
  std::int64_t count = 1;
  for (const auto extent : shape) count *= extent;
  return count;
}

std::string to_string(const Shape& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

namespace hdf5_detail {

Handle::Handle(const Handle& other) : id_(other.id_) {
  if (id_ >= 0) H5Iinc_ref(id_);
}

Handle::~Handle() {
  if (id_ >= 0) H5Idec_ref(id_);
}

void silence_error_stack() {
  static const herr_t once = H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  ensure(once >= 0, "HDF5 cannot be started");
}

std::string innermost_reason() {
  std::string reason;
  const auto keep_first = [](unsigned, const H5E_error2_t* error, void* result) -> herr_t {
    auto& text = *static_cast<std::string*>(result);
    if (text.empty() && error->desc) text = error->desc;
    return 0;
  };
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_first, &reason);
  // HDF5 wraps the system's message in file names and addresses: only the message helps a person.
  constexpr std::string_view opening = "error message = '";
  if (const auto start = reason.find(opening); start != std::string::npos) {
    const auto first = start + opening.size();
    reason = reason.substr(first, reason.find('\'', first) - first);
  }
  return reason.empty() ? "HDF5 gives no reason" : reason;
}

void check_written(const FileState& file, const std::string& where, const char* what) {
  if (file.failure.code != 0) {
    fail(ExitCode::io, "{}: cannot {}: {}", where, what, std::strerror(file.failure.code));
  }
}

hid_t file_type(ElementType type) {
  switch (type) {
    case ElementType::float32:
      return H5T_IEEE_F32LE;
    case ElementType::float64:
      return H5T_IEEE_F64LE;
    case ElementType::int32:
      return H5T_STD_I32LE;
    case ElementType::int64:
      return H5T_STD_I64LE;
    case ElementType::uint8:
      return H5T_STD_U8LE;
    case ElementType::uint16:
      return H5T_STD_U16LE;
    case ElementType::text:
      break;
  }
  broken_invariant("a text dataset has a width of its own");
}

hid_t memory_type(ElementType type) {
  switch (type) {
    case ElementType::float32:
      return H5T_NATIVE_FLOAT;
    case ElementType::float64:
      return H5T_NATIVE_DOUBLE;
    case ElementType::int32:
      return H5T_NATIVE_INT32;
    case ElementType::int64:
      return H5T_NATIVE_INT64;
    case ElementType::uint8:
      return H5T_NATIVE_UINT8;
    case ElementType::uint16:
      return H5T_NATIVE_UINT16;
    case ElementType::text:
      break;
  }
  broken_invariant("a text dataset has a width of its own");
}

Handle text_type(std::size_t width) {
  Handle type(H5Tcopy(H5T_C_S1));
  const bool made = H5Tset_size(type.id(), width) >= 0 && H5Tset_cset(type.id(), H5T_CSET_UTF8) >= 0 &&
                    (width == H5T_VARIABLE || H5Tset_strpad(type.id(), H5T_STR_NULLPAD) >= 0);
  ensure(made, "HDF5 refuses a text type");
  return type;
}

Handle data_space(const Shape& shape) {
  const std::vector<hsize_t> extents(shape.begin(), shape.end());
  Handle space(shape.empty() ? H5Screate(H5S_SCALAR)
                             : H5Screate_simple(static_cast<int>(extents.size()), extents.data(), nullptr));
  ensure(space.id() >= 0, "HDF5 refuses a shape");
  return space;
}

std::string in_file(const FileState& file, const std::string& path) { return file.path + ":" + path; }

}  // namespace hdf5_detail
}  // namespace strait::io
