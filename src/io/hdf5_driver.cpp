#include "hdf5_driver.hpp"

#include "strait/core/error.hpp"

#if H5_VERSION_GE(1, 13, 0)
#include <H5FDdevelop.h>
#endif

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <memory>

namespace strait::io::hdf5_detail {

namespace {

/// What set_driver leaves in the property list; HDF5 copies it byte by byte.
struct DriverInfo {
  WriteFailure* failure;
};

/// HDF5 sees the first member only.
struct DriverFile {
  H5FD_t base;
  int descriptor;
  haddr_t end_of_allocation;
  haddr_t end_of_file;
  dev_t device;
  ino_t inode;
  WriteFailure* failure;

  void note_failure() {
    if (failure->code == 0) failure->code = errno;
  }
};

// Linux moves at most 2 GiB in one call.
constexpr std::size_t largest_transfer = std::size_t{1} << 30;

DriverFile* driver_file(H5FD_t* file) { return reinterpret_cast<DriverFile*>(file); }
const DriverFile* driver_file(const H5FD_t* file) { return reinterpret_cast<const DriverFile*>(file); }

void push_error(hid_t minor, const char* what) {
  H5Epush2(H5E_DEFAULT, __FILE__, __func__, __LINE__, H5E_ERR_CLS, H5E_VFL, minor, "%s: %s", what,
           std::strerror(errno));
}

H5FD_t* open_file(const char* name, unsigned flags, hid_t access, haddr_t) {
  const auto* info = static_cast<const DriverInfo*>(H5Pget_driver_info(access));
  int mode = (flags & H5F_ACC_RDWR) ? O_RDWR : O_RDONLY;
  if (flags & H5F_ACC_TRUNC) mode |= O_TRUNC;
  if (flags & H5F_ACC_CREAT) mode |= O_CREAT;
  if (flags & H5F_ACC_EXCL) mode |= O_EXCL;
  const int descriptor = ::open(name, mode | O_CLOEXEC, 0666);
  struct stat status = {};
  if (descriptor < 0 || ::fstat(descriptor, &status) != 0) {
    push_error(H5E_CANTOPENFILE, "cannot open");
    if (descriptor >= 0) ::close(descriptor);
    return nullptr;
  }
  auto file = std::make_unique<DriverFile>();
  file->descriptor = descriptor;
  file->end_of_file = static_cast<haddr_t>(status.st_size);
  file->device = status.st_dev;
  file->inode = status.st_ino;
  file->failure = info->failure;
  return &file.release()->base;
}

herr_t close_file(H5FD_t* base) {
  std::unique_ptr<DriverFile> file(driver_file(base));
  if (::close(file->descriptor) != 0) file->note_failure();
  return 0;
}

int compare(const H5FD_t* a, const H5FD_t* b) {
  const auto key = [](const DriverFile* f) { return std::make_pair(f->device, f->inode); };
  const auto x = key(driver_file(a)), y = key(driver_file(b));
  return x < y ? -1 : x > y;
}

herr_t query(const H5FD_t*, unsigned long* flags) {
  *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_DATA_SIEVE |
           H5FD_FEAT_AGGREGATE_SMALLDATA | H5FD_FEAT_SUPPORTS_SWMR_IO | H5FD_FEAT_DEFAULT_VFD_COMPATIBLE;
  return 0;
}

haddr_t end_of_allocation(const H5FD_t* file, H5FD_mem_t) { return driver_file(file)->end_of_allocation; }

herr_t set_end_of_allocation(H5FD_t* file, H5FD_mem_t, haddr_t address) {
  driver_file(file)->end_of_allocation = address;
  return 0;
}

haddr_t end_of_file(const H5FD_t* file, H5FD_mem_t) { return driver_file(file)->end_of_file; }

herr_t read(H5FD_t* base, H5FD_mem_t, hid_t, haddr_t address, size_t size, void* buffer) {
  auto* file = driver_file(base);
  auto* bytes = static_cast<char*>(buffer);
  while (size > 0) {
    const auto moved =
        ::pread(file->descriptor, bytes, std::min(size, largest_transfer), static_cast<off_t>(address));
    if (moved < 0 && errno == EINTR) continue;
    if (moved < 0) {
      push_error(H5E_READERROR, "cannot read");
      return -1;
    }
    if (moved == 0) {  // allocated, never written
      std::memset(bytes, 0, size);
      return 0;
    }
    bytes += moved;
    address += static_cast<haddr_t>(moved);
    size -= static_cast<size_t>(moved);
  }
  return 0;
}

herr_t write(H5FD_t* base, H5FD_mem_t, hid_t, haddr_t address, size_t size, const void* buffer) {
  auto* file = driver_file(base);
  const auto* bytes = static_cast<const char*>(buffer);
  file->end_of_file = std::max(file->end_of_file, address + size);
  while (size > 0 && file->failure->code == 0) {
    const auto moved =
        ::pwrite(file->descriptor, bytes, std::min(size, largest_transfer), static_cast<off_t>(address));
    if (moved < 0 && errno == EINTR) continue;
    if (moved < 0) {
      file->note_failure();
      return 0;
    }
    bytes += moved;
    address += static_cast<haddr_t>(moved);
    size -= static_cast<size_t>(moved);
  }
  return 0;
}

herr_t truncate(H5FD_t* base, hid_t, hbool_t) {
  auto* file = driver_file(base);
  if (file->end_of_allocation == file->end_of_file) return 0;
  if (file->failure->code == 0 &&
      ::ftruncate(file->descriptor, static_cast<off_t>(file->end_of_allocation)) != 0) {
    file->note_failure();
  }
  file->end_of_file = file->end_of_allocation;
  return 0;
}

// HDF5 marks a file as being written (what SWMR readers look for) only with drivers that can lock. The mark
// is all we want: advisory locks fail on some network file systems.
herr_t lock(H5FD_t*, hbool_t) { return 0; }
herr_t unlock(H5FD_t*) { return 0; }

hid_t register_driver() {
  static H5FD_class_t driver = {};
#if H5_VERSION_GE(1, 13, 0)
  driver.version = H5FD_CLASS_VERSION;
  driver.value = static_cast<H5FD_class_value_t>(500);  // of the range that HDF5 leaves to everybody
#endif
  driver.name = "strait_posix";
  driver.maxaddr = static_cast<haddr_t>(std::numeric_limits<off_t>::max());
  driver.fc_degree = H5F_CLOSE_STRONG;
  driver.fapl_size = sizeof(DriverInfo);
  driver.open = open_file;
  driver.close = close_file;
  driver.cmp = compare;
  driver.query = query;
  driver.get_eoa = end_of_allocation;
  driver.set_eoa = set_end_of_allocation;
  driver.get_eof = end_of_file;
  driver.read = read;
  driver.write = write;
  driver.truncate = truncate;
  driver.lock = lock;
  driver.unlock = unlock;
  const H5FD_mem_t one_list_for_metadata_one_for_data[] = H5FD_FLMAP_DICHOTOMY;
  std::copy(std::begin(one_list_for_metadata_one_for_data), std::end(one_list_for_metadata_one_for_data),
            driver.fl_map);
  return H5FDregister(&driver);
}

}  // namespace

herr_t set_driver(hid_t access, WriteFailure* failure) {
  static const hid_t driver = register_driver();
  ensure(driver >= 0, "HDF5 refuses our file driver");
  const DriverInfo info = {failure};
  return H5Pset_driver(access, driver, &info);
}

}  // namespace strait::io::hdf5_detail
