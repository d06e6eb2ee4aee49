#pragma once
// Checked calls and the state of an open file, shared by the sources of the HDF5 wrapper.

#include "strait/io/hdf5.hpp"

#include "hdf5_driver.hpp"

#include <hdf5.h>

#include <string>

namespace strait::io::hdf5_detail {

static_assert(std::is_same_v<hid_t, Id>);

struct FileState {
  std::string path;
  hid_t id = -1;
  WriteFailure failure;
};

/// Turns HDF5's own printing of errors off; called before the first file is opened.
void silence_error_stack();

/// HDF5's most specific description of the last failed call, or the system's message inside it.
std::string innermost_reason();

/// Throws "where: cannot <what>: reason" where `result` is negative.
template <class Result>
Result checked(Result result, const std::string& where, const char* what) {
  if (result < 0) fail(ExitCode::io, "{}: cannot {}: {}", where, what, innermost_reason());
  return result;
}

/// Throws where a write to the file failed at any time.
void check_written(const FileState& file, const std::string& where, const char* what);

/// The type of elements in files (little-endian) and in memory.
hid_t file_type(ElementType type);
hid_t memory_type(ElementType type);

/// Text of `width` bytes, padded with zeros; a width of H5T_VARIABLE gives text of any length.
Handle text_type(std::size_t width);

Handle data_space(const Shape& shape);

std::string in_file(const FileState& file, const std::string& path);

}  // namespace strait::io::hdf5_detail
