#include "file_sync.hpp"

#include "strait/core/error.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace strait::app {

namespace fs = std::filesystem;

namespace {

class Descriptor {
 public:
  Descriptor(const fs::path& path, int flags)
      : path_(path), value_(::open(path.c_str(), flags | O_CLOEXEC, 0666)) {
    if (value_ < 0) refuse("open");
  }
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  void write(const std::string& text) const {
    for (std::size_t done = 0; done < text.size();) {
      const auto moved = ::write(value_, text.data() + done, text.size() - done);
      if (moved < 0 && errno != EINTR) refuse("write");
      if (moved > 0) done += static_cast<std::size_t>(moved);
    }
  }
  void sync() const {
    // Some network file systems cannot sync folders, and need not.
    if (::fsync(value_) != 0 && errno != EINVAL) refuse("sync");
  }
  void close() {
    if (::close(std::exchange(value_, -1)) != 0) refuse("close");
  }

 private:
  [[noreturn]] void refuse(const char* what) const {
    fail(ExitCode::io, "{}: cannot {}: {}", path_.string(), what, std::strerror(errno));
  }

  fs::path path_;
  int value_;
};

void check(const std::error_code& error, const fs::path& path, const char* what) {
  if (error) fail(ExitCode::io, "{}: cannot {}: {}", path.string(), what, error.message());
}

}  // namespace

void sync_to_disk(const fs::path& path) { Descriptor(path, O_RDONLY).sync(); }

void write_synced(const fs::path& path, const std::string& text) {
  Descriptor file(path, O_WRONLY | O_CREAT | O_TRUNC);
  file.write(text);
  file.sync();
  file.close();
}

void rename_path(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::rename(from, to, error);
  check(error, from, "rename");
}

void remove_tree(const fs::path& path) {
  std::error_code error;
  fs::remove_all(path, error);
  check(error, path, "remove");
}

void make_directories(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  check(error, path, "create");
}

}  // namespace strait::app
