#pragma once
// A folder on a disk that is soon full: a small tmpfs where we may mount one, else a limit on the size of
// files (which ends writes with another message, at the same places).

#include "support/temporary_directory.hpp"

#include <sys/mount.h>
#include <sys/resource.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <string>

namespace strait::test {

class SmallDisk {
 public:
  explicit SmallDisk(std::size_t bytes) {
    const auto options = "size=" + std::to_string(bytes);
    mounted_ = ::mount("none", directory_.path().c_str(), "tmpfs", 0, options.c_str()) == 0;
    if (!mounted_) {
      std::signal(SIGXFSZ, SIG_IGN);
      ::getrlimit(RLIMIT_FSIZE, &before_);
      auto limit = before_;
      limit.rlim_cur = bytes;
      ::setrlimit(RLIMIT_FSIZE, &limit);
    }
  }
  ~SmallDisk() {
    if (mounted_) {
      ::umount2(directory_.path().c_str(), MNT_DETACH);
    } else {
      ::setrlimit(RLIMIT_FSIZE, &before_);
    }
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  std::string file(const std::string& name) const { return directory_.file(name); }
  const std::filesystem::path& path() const { return directory_.path(); }

  /// What the system says when it is full.
  std::string message() const { return std::strerror(mounted_ ? ENOSPC : EFBIG); }

 private:
  TemporaryDirectory directory_;
  bool mounted_ = false;
  rlimit before_ = {};
};

}  // namespace strait::test
