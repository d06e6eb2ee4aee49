#pragma once
// safetensors files, the format in which Hugging Face keeps weights: eight bytes with the length of a JSON
// header {name: {dtype, shape, data_offsets}}, the header, then the tensors, little-endian and row-major.
// https://github.com/huggingface/safetensors#format
//
// Every failure is an Error(ExitCode::io) of one line that begins with the file.

#include "strait/io/hdf5.hpp"

#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace strait::io {

enum class SafetensorsType { f16, bf16, f32, f64 };

/// A tensor to be written.
struct SafetensorsEntry {
  std::string name;
  SafetensorsType type;
  Shape shape;
};

namespace safetensors_detail {

struct Place {
  SafetensorsType type;
  Shape shape;
  std::int64_t begin;  ///< first byte, from the start of the file
};
using Places = std::map<std::string, Place>;

struct Closer {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using Stream = std::unique_ptr<std::FILE, Closer>;

}  // namespace safetensors_detail

/// Reads tensors by name, one at a time.
class SafetensorsReader {
 public:
  /// Refuses headers whose places do not fit the file.
  explicit SafetensorsReader(const std::string& path);

  std::vector<std::string> names() const;
  bool has(const std::string& name) const { return places_.contains(name); }
  const Shape& shape(const std::string& name) const { return place(name).shape; }
  SafetensorsType type(const std::string& name) const { return place(name).type; }
  /// The free texts of `__metadata__`.
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

  /// All elements of a tensor, converted to T: float or double.
  template <class T>
  std::vector<T> read(const std::string& name) const;

 private:
  const safetensors_detail::Place& place(const std::string& name) const;

  std::string path_;
  safetensors_detail::Stream stream_;
  safetensors_detail::Places places_;
  std::map<std::string, std::string> metadata_;
};

/// Writes a file whose tensors are known before their contents, so that only one needs to be in memory.
class SafetensorsWriter {
 public:
  SafetensorsWriter(const std::string& path, const std::vector<SafetensorsEntry>& entries,
                    const std::map<std::string, std::string>& metadata = {});

  /// All elements of a tensor, from float or double, rounded to nearest even; in any order of names.
  template <class T>
  void write(const std::string& name, const T* data);

  /// Closes; throws if anything did not reach the file. Every entry must have been written.
  void close();

 private:
  std::string path_;
  safetensors_detail::Stream stream_;
  safetensors_detail::Places places_;
  std::map<std::string, bool> written_;
};

}  // namespace strait::io
