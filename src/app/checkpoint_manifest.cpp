#include "checkpoint_manifest.hpp"

#include "strait/core/error.hpp"

#include "file_sync.hpp"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace strait::app {

namespace fs = std::filesystem;

namespace {

constexpr const char* manifest_name = "MANIFEST";
constexpr int format_version = 1;

class Sha256 {
 public:
  Sha256() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
    ensure(context_ && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1, "SHA-256 is available");
  }
  void add(std::string_view bytes) {
    ensure(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1, "SHA-256 takes any bytes");
  }
  std::string hexadecimal() {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
    unsigned size = 0;
    ensure(EVP_DigestFinal_ex(context_.get(), digest.data(), &size) == 1, "SHA-256 ends");
    std::string text;
    for (unsigned i = 0; i < size; ++i) text += fmt::format("{:02x}", digest[i]);
    return text;
  }

 private:
  std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context_;
};

struct FileRecord {
  std::string name;  ///< relative to the folder
  std::uintmax_t size;
  std::string sha256;
};

FileRecord record_of(const fs::path& folder, const std::string& name) {
  const auto path = folder / name;
  std::ifstream file(path, std::ios::binary);
  if (!file) fail(ExitCode::io, "{}: is missing or cannot be read", path.string());
  Sha256 sum;
  std::uintmax_t size = 0;
  std::vector<char> buffer(std::size_t{1} << 20);
  while (file) {
    file.read(buffer.data(), static_cast<std::streamsize>(buffer.size()));
    const auto moved = static_cast<std::size_t>(file.gcount());
    sum.add({buffer.data(), moved});
    size += moved;
  }
  if (file.bad()) fail(ExitCode::io, "{}: cannot be read", path.string());
  return {name, size, sum.hexadecimal()};
}

std::string checksum_of(const std::string& text) {
  Sha256 sum;
  sum.add(text);
  return sum.hexadecimal();
}

constexpr std::string_view closing = "# these lines: ";

}  // namespace

void write_manifest(const fs::path& folder, std::int64_t step) {
  std::vector<std::string> names;
  std::vector<fs::path> folders = {folder};
  std::error_code error;
  for (fs::recursive_directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry->is_directory()) {
      folders.push_back(entry->path());
    } else {
      names.push_back(fs::relative(entry->path(), folder).string());
    }
  }
  if (error) fail(ExitCode::io, "{}: cannot list: {}", folder.string(), error.message());
  std::sort(names.begin(), names.end());

  auto text = fmt::format("# strait-checkpoint {} step {}\n", format_version, step);
  for (const auto& name : names) {
    sync_to_disk(folder / name);
    const auto record = record_of(folder, name);
    text += fmt::format("# {} bytes\n{}  {}\n", record.size, record.sha256, record.name);
  }
  text += fmt::format("{}{}\n", closing, checksum_of(text));
  write_synced(folder / manifest_name, text);
  for (const auto& path : folders) sync_to_disk(path);
}

std::int64_t verify_manifest(const fs::path& folder) {
  const auto path = folder / manifest_name;
  std::ifstream file(path, std::ios::binary);
  if (!file) fail(ExitCode::io, "{}: is missing: not a checkpoint", path.string());
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  const auto end = text.rfind(closing);
  if (end == std::string::npos ||
      text.substr(end) != fmt::format("{}{}\n", closing, checksum_of(text.substr(0, end)))) {
    fail(ExitCode::io, "{}: is damaged", path.string());
  }

  std::istringstream lines(text.substr(0, end));
  std::string mark, format;
  int version = 0;
  std::int64_t step = 0;
  lines >> mark >> format >> version >> mark >> step;
  if (!lines || version != format_version) {
    fail(ExitCode::io, "{}: has format version {}, this program reads {}", path.string(), version,
         format_version);
  }
  std::uintmax_t size = 0;
  std::string unit;
  FileRecord expected;
  while (lines >> mark >> size >> unit >> expected.sha256 && lines.ignore(2) &&
         std::getline(lines, expected.name)) {
    const auto actual = record_of(folder, expected.name);
    const auto where = (folder / expected.name).string();
    if (actual.size != size) {
      fail(ExitCode::io, "{}: is damaged: {} bytes, expected {}", where, actual.size, size);
    }
    if (actual.sha256 != expected.sha256) fail(ExitCode::io, "{}: is damaged: its SHA-256 differs", where);
  }
  return step;
}

}  // namespace strait::app
