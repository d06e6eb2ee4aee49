#pragma once
// An HDF5 file driver on POSIX files that survives a full disk.
//
// HDF5 cannot close a file whose last metadata it failed to write: the close fails, leaves a dangling
// identifier, and the next touch (the library's own exit included) is a segmentation fault. This driver
// notes the first failed write and goes on as if it had worked, so that HDF5 stays whole; whoever owns the
// file asks for the failure after each operation and throws the file away.

#include <hdf5.h>

namespace strait::io::hdf5_detail {

/// The first failed write, truncation or close of a file: an errno, 0 for none.
struct WriteFailure {
  int code = 0;
};

/// Selects the driver in a file access property list. `failure` must live as long as the open file.
herr_t set_driver(hid_t access, WriteFailure* failure);

}  // namespace strait::io::hdf5_detail
