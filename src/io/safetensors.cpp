#include "strait/io/safetensors.hpp"

#include "strait/core/bits16.hpp"

#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <sys/types.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <span>

namespace strait::io {

static_assert(std::endian::native == std::endian::little, "safetensors files are little-endian");

using safetensors_detail::Place;
using safetensors_detail::Places;
using Json = nlohmann::json;

namespace {

struct TypeInfo {
  SafetensorsType type;
  const char* name;
  std::int64_t bytes;
};
constexpr std::array<TypeInfo, 4> types = {{{SafetensorsType::f16, "F16", 2},
                                            {SafetensorsType::bf16, "BF16", 2},
                                            {SafetensorsType::f32, "F32", 4},
                                            {SafetensorsType::f64, "F64", 8}}};

const TypeInfo& info(SafetensorsType type) { return types[static_cast<std::size_t>(type)]; }

std::int64_t size_of(const Place& place) { return element_count(place.shape) * info(place.type).bytes; }

[[noreturn]] void fail_system(const std::string& path, const char* what) {
  fail(ExitCode::io, "{}: cannot {}: {}", path, what, std::strerror(errno));
}

void seek(std::FILE* stream, const std::string& path, std::int64_t position) {
  if (::fseeko(stream, static_cast<off_t>(position), SEEK_SET) != 0) fail_system(path, "seek");
}

// An empty tensor has no address to read to or write from.
void read_bytes(std::FILE* stream, const std::string& path, void* data, std::size_t size) {
  if (size == 0) return;
  if (std::fread(data, 1, size, stream) == size) return;
  if (std::ferror(stream)) fail_system(path, "read");
  fail(ExitCode::io, "{}: ends too early", path);
}

void write_bytes(std::FILE* stream, const std::string& path, const void* data, std::size_t size) {
  if (size > 0 && std::fwrite(data, 1, size, stream) != size) fail_system(path, "write");
}

template <class T>
std::span<const std::byte> bytes_of(const std::vector<T>& values) {
  return std::as_bytes(std::span(values));
}

/// One entry of the header, checked against the bytes that follow it.
Place parse_place(const Json& entry, std::int64_t data_start, std::int64_t data_bytes) {
  const auto type_name = entry.at("dtype").get<std::string>();
  const auto found =
      std::find_if(types.begin(), types.end(), [&](const TypeInfo& t) { return t.name == type_name; });
  if (found == types.end()) throw std::runtime_error("dtype " + type_name + " is not supported");
  const auto offsets = entry.at("data_offsets").get<std::array<std::int64_t, 2>>();
  Place place{found->type, entry.at("shape").get<Shape>(), data_start + offsets[0]};
  std::int64_t elements = 1;
  for (const auto extent : place.shape) {
    if (extent < 0 || (extent > 0 && elements > data_bytes / extent)) {
      throw std::runtime_error("shape " + to_string(place.shape) + " does not fit the file");
    }
    elements *= extent;
  }
  if (offsets[0] < 0 || offsets[1] > data_bytes || offsets[1] - offsets[0] != elements * found->bytes) {
    throw std::runtime_error("data_offsets do not fit shape and file");
  }
  return place;
}

}  // namespace

SafetensorsReader::SafetensorsReader(const std::string& path)
    : path_(path), stream_(std::fopen(path.c_str(), "rb")) {
  struct stat status = {};
  if (!stream_ || ::fstat(::fileno(stream_.get()), &status) != 0) fail_system(path, "open");
  std::uint64_t header_size = 0;
  read_bytes(stream_.get(), path, &header_size, sizeof(header_size));
  const auto file_size = static_cast<std::uint64_t>(status.st_size);
  if (header_size > file_size - sizeof(header_size)) fail(ExitCode::io, "{}: ends inside its header", path);
  std::string text(header_size, '\0');
  read_bytes(stream_.get(), path, text.data(), text.size());

  std::string name = "header";
  try {
    const auto data_start = static_cast<std::int64_t>(sizeof(header_size) + header_size);
    const auto data_bytes = static_cast<std::int64_t>(file_size) - data_start;
    const auto header = Json::parse(text);
    for (const auto& [key, entry] : header.items()) {
      name = key;
      if (key == "__metadata__") {
        metadata_ = entry.get<std::map<std::string, std::string>>();
      } else {
        places_.emplace(key, parse_place(entry, data_start, data_bytes));
      }
    }
  } catch (const std::exception& error) {
    fail(ExitCode::io, "{}: {}: {}", path, name, error.what());
  }
}

std::vector<std::string> SafetensorsReader::names() const {
  std::vector<std::string> result;
  for (const auto& [name, place] : places_) result.push_back(name);
  return result;
}

const Place& SafetensorsReader::place(const std::string& name) const {
  const auto found = places_.find(name);
  if (found == places_.end()) fail(ExitCode::io, "{}: has no tensor {}", path_, name);
  return found->second;
}

template <class T>
std::vector<T> SafetensorsReader::read(const std::string& name) const {
  const auto& from = place(name);
  seek(stream_.get(), path_, from.begin);
  const auto count = static_cast<std::size_t>(element_count(from.shape));
  const auto load = [&](auto stored, const auto& convert) {
    std::vector<decltype(stored)> raw(count);
    read_bytes(stream_.get(), path_, raw.data(), count * sizeof(stored));
    std::vector<T> values(count);
    for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<T>(convert(raw[i]));
    return values;
  };
  const auto same = [](auto value) { return value; };
  switch (from.type) {
    case SafetensorsType::f16:
      return load(std::uint16_t{}, from_float16);
    case SafetensorsType::bf16:
      return load(std::uint16_t{}, from_bfloat16);
    case SafetensorsType::f32:
      return load(float{}, same);
    case SafetensorsType::f64:
      return load(double{}, same);
  }
  broken_invariant("a type of safetensors");
}

SafetensorsWriter::SafetensorsWriter(const std::string& path, const std::vector<SafetensorsEntry>& entries,
                                     const std::map<std::string, std::string>& metadata)
    : path_(path), stream_(std::fopen(path.c_str(), "wb")) {
  if (!stream_) fail_system(path, "create");
  nlohmann::ordered_json header;
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::int64_t offset = 0;
  for (const auto& entry : entries) {
    Place place{entry.type, entry.shape, offset};
    const auto end = offset + size_of(place);
    header[entry.name] = {
        {"dtype", info(entry.type).name}, {"shape", entry.shape}, {"data_offsets", {offset, end}}};
    ensure(places_.emplace(entry.name, std::move(place)).second, "names of tensors are unique");
    written_[entry.name] = false;
    offset = end;
  }
  auto text = header.is_null() ? std::string("{}") : header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');  // the tensors begin aligned
  const std::uint64_t size = text.size();
  write_bytes(stream_.get(), path, &size, sizeof(size));
  write_bytes(stream_.get(), path, text.data(), text.size());
  for (auto& [name, place] : places_) place.begin += static_cast<std::int64_t>(sizeof(size) + size);
}

template <class T>
void SafetensorsWriter::write(const std::string& name, const T* data) {
  const auto found = places_.find(name);
  ensure(found != places_.end(), "a tensor is declared before it is written");
  seek(stream_.get(), path_, found->second.begin);
  const auto count = static_cast<std::size_t>(element_count(found->second.shape));
  const auto store = [&](const auto& convert) {
    std::vector<decltype(convert(data[0]))> raw(count);
    for (std::size_t i = 0; i < count; ++i) raw[i] = convert(data[i]);
    write_bytes(stream_.get(), path_, raw.data(), bytes_of(raw).size());
  };
  switch (found->second.type) {
    case SafetensorsType::f16:
      store([](T v) { return to_float16(static_cast<float>(v)); });
      break;
    case SafetensorsType::bf16:
      store([](T v) { return to_bfloat16(static_cast<float>(v)); });
      break;
    case SafetensorsType::f32:
      store([](T v) { return static_cast<float>(v); });
      break;
    case SafetensorsType::f64:
      store([](T v) { return static_cast<double>(v); });
      break;
  }
  written_[name] = true;
}

void SafetensorsWriter::close() {
  for (const auto& [name, done] : written_) ensure(done, "every declared tensor was written");
  if (std::fclose(stream_.release()) != 0) fail_system(path_, "write");
}

template std::vector<float> SafetensorsReader::read(const std::string&) const;
template std::vector<double> SafetensorsReader::read(const std::string&) const;
template void SafetensorsWriter::write(const std::string&, const float*);
template void SafetensorsWriter::write(const std::string&, const double*);

}  // namespace strait::io
