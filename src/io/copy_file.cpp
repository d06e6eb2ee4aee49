#include "strait/io/copy_file.hpp"

#include "strait/core/error.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

namespace strait::io {

namespace {

struct Closer {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

[[noreturn]] void refuse(const std::string& path, const char* what) {
  fail(ExitCode::io, "{}: cannot {}: {}", path, what, std::strerror(errno));
}

}  // namespace

void copy_file(const std::string& from, const std::string& to) {
  const std::unique_ptr<std::FILE, Closer> source(std::fopen(from.c_str(), "rb"));
  if (!source) refuse(from, "open");
  std::unique_ptr<std::FILE, Closer> target(std::fopen(to.c_str(), "wb"));
  if (!target) refuse(to, "create");
  std::vector<char> buffer(std::size_t{1} << 20);
  while (const auto size = std::fread(buffer.data(), 1, buffer.size(), source.get())) {
    if (std::fwrite(buffer.data(), 1, size, target.get()) != size) refuse(to, "write");
  }
  if (std::ferror(source.get())) refuse(from, "read");
  if (std::fclose(target.release()) != 0) refuse(to, "write");
}

}  // namespace strait::io
