#include "strait/io/copy_file.hpp"

#include "hdf5_internal.hpp"

namespace strait::io {

using hdf5_detail::checked;
using hdf5_detail::FileState;
using hdf5_detail::Handle;

namespace {

/// Our driver, the format of HDF5 1.10 (the oldest with SWMR, whatever the library), and a close that takes
/// all objects with it.
Handle access_properties(FileState& state) {
  Handle access(H5Pcreate(H5P_FILE_ACCESS));
  const bool set = hdf5_detail::set_driver(access.id(), &state.failure) >= 0 &&
                   H5Pset_libver_bounds(access.id(), H5F_LIBVER_V110, H5F_LIBVER_V110) >= 0 &&
                   H5Pset_fclose_degree(access.id(), H5F_CLOSE_STRONG) >= 0;
  ensure(set, "HDF5 refuses the file access properties");
  return access;
}

template <class Opener>
std::shared_ptr<FileState> open_state(const std::string& path, const char* what, const Opener& opener) {
  hdf5_detail::silence_error_stack();
  auto state = std::make_shared<FileState>();
  state->path = path;
  const auto access = access_properties(*state);
  state->id = checked(opener(access.id()), path, what);
  return state;
}

std::shared_ptr<FileState> open_existing(const std::string& path, unsigned flags) {
  return open_state(path, "open", [&](hid_t access) { return H5Fopen(path.c_str(), flags, access); });
}

herr_t close_state(FileState& state) {
  const auto result = state.id >= 0 ? H5Fclose(state.id) : 0;
  state.id = -1;
  return result;
}

}  // namespace

File File::create(const std::string& path) {
  auto state = open_state(path, "create", [&](hid_t access) {
    return H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access);
  });
  File file(state);
  hdf5_detail::check_written(*state, path, "create");
  return file;
}

File File::open(const std::string& path) { return File(open_existing(path, H5F_ACC_RDONLY)); }

File File::open_writable(const std::string& path) { return File(open_existing(path, H5F_ACC_RDWR)); }

File File::open_swmr(const std::string& path) {
  return File(open_existing(path, H5F_ACC_RDONLY | H5F_ACC_SWMR_READ));
}

File& File::operator=(File&& other) noexcept {
  if (state_) close_state(*state_);
  state_ = std::move(other.state_);
  return *this;
}

File::~File() {
  if (state_) close_state(*state_);
}

const std::string& File::path() const { return state_->path; }

Group File::root() const {
  return Group(state_, Handle(checked(H5Gopen2(state_->id, "/", H5P_DEFAULT), state_->path, "open")), "/");
}

void File::start_swmr_write() {
  checked(H5Fstart_swmr_write(state_->id), state_->path, "start SWMR writing");
  hdf5_detail::check_written(*state_, state_->path, "start SWMR writing");
}

void File::flush() {
  checked(H5Fflush(state_->id, H5F_SCOPE_GLOBAL), state_->path, "write");
  hdf5_detail::check_written(*state_, state_->path, "write");
}

void File::copy_closed_to(const std::string& path) {
  flush();
  copy_file(state_->path, path);
  // The copied bytes still say that somebody writes; opening with this property, as h5clear does, clears it.
  auto copy = open_state(path, "open", [&](hid_t access) {
    const hbool_t clear = true;
    ensure(H5Pset(access, "clear_status_flags", &clear) >= 0, "HDF5 can clear a file's status flags");
    return H5Fopen(path.c_str(), H5F_ACC_RDWR, access);
  });
  File(copy).close();
}

void File::close() {
  const auto result = close_state(*state_);
  hdf5_detail::check_written(*state_, state_->path, "write");
  checked(result, state_->path, "close");
}

}  // namespace strait::io
