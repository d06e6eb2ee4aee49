#pragma once
// HDF5 by RAII with checked calls, through the serial (POSIX) driver.
//
//   auto file = io::File::create("model.h5");
//   auto parameters = file.root().create_group("parameters");
//   parameters.write("model.norm.weight", gains.data(), {hidden});
//   file.close();  // says whether everything reached the file
//
// Every failure is an Error(ExitCode::io) of one line: "file:/object: what: HDF5's innermost reason".
// Destructors neither throw nor report: whoever writes a file closes it. HDF5 is used from one thread.

#include "strait/core/error.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace strait::io {

/// What the elements of a dataset are. `text` is UTF-8 of a fixed width.
enum class ElementType { float32, float64, int32, int64, uint8, uint16, text };

const char* name(ElementType type);

template <class T>
constexpr ElementType element_type() {
  if constexpr (std::is_same_v<T, float>)
    return ElementType::float32;
  else if constexpr (std::is_same_v<T, double>)
    return ElementType::float64;
  else if constexpr (std::is_same_v<T, std::int32_t>)
    return ElementType::int32;
  else if constexpr (std::is_same_v<T, std::int64_t>)
    return ElementType::int64;
  else if constexpr (std::is_same_v<T, std::uint8_t>)
    return ElementType::uint8;
  else {
    static_assert(std::is_same_v<T, std::uint16_t>, "no HDF5 element type for T");
    return ElementType::uint16;
  }
}

/// Extents, slowest first.
using Shape = std::vector<std::int64_t>;

std::int64_t element_count(const Shape& shape);

/// "[2, 3]"
std::string to_string(const Shape& shape);

/// A block of a dataset.
struct Hyperslab {
  Shape start;
  Shape count;
};

namespace hdf5_detail {

using Id = std::int64_t;  // hid_t
struct FileState;

/// A counted reference to an HDF5 identifier.
class Handle {
 public:
  Handle() = default;
  explicit Handle(Id id) : id_(id) {}
  Handle(const Handle& other);
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, -1)) {}
  Handle& operator=(Handle other) noexcept {
    std::swap(id_, other.id_);
    return *this;
  }
  ~Handle();

  Id id() const { return id_; }

 private:
  Id id_ = -1;
};

}  // namespace hdf5_detail

/// What groups and datasets have in common: a place in a file, and attributes. Copies refer to the same
/// object. An object must not be used after its file was closed.
class Object {
 public:
  /// "file:/path", for messages.
  std::string where() const;
  /// Absolute, inside the file.
  const std::string& path() const { return path_; }

  bool has_attribute(const std::string& name) const;

  /// Sets or replaces an attribute: integers are kept as int64, real numbers as double, text as
  /// variable-length UTF-8.
  template <class T>
  requires std::is_arithmetic_v<T>
  void set_attribute(const std::string& name, T value) {
    if constexpr (std::is_integral_v<T>) {
      set_integer_attribute(name, static_cast<std::int64_t>(value));
    } else {
      set_real_attribute(name, static_cast<double>(value));
    }
  }
  void set_attribute(const std::string& name, const std::string& value);
  void set_attribute(const std::string& name, const char* value) { set_attribute(name, std::string(value)); }
  void set_attribute(const std::string& name, const std::vector<std::string>& values);

  /// An attribute as T: std::int64_t, double, std::string or std::vector<std::string>.
  template <class T>
  T attribute(const std::string& name) const;

 protected:
  Object(std::shared_ptr<hdf5_detail::FileState> file, hdf5_detail::Handle handle, std::string path)
      : file_(std::move(file)), handle_(std::move(handle)), path_(std::move(path)) {}

  std::shared_ptr<hdf5_detail::FileState> file_;
  hdf5_detail::Handle handle_;
  std::string path_;

 private:
  void set_integer_attribute(const std::string& name, std::int64_t value);
  void set_real_attribute(const std::string& name, double value);
};

/// An array of one element type. Buffers are contiguous, in row-major order. Floating-point data may be
/// written and read in another precision than the file's; integers must be of the file's type.
class Dataset : public Object {
 public:
  Shape shape() const;
  ElementType type() const;

  /// All elements.
  template <class T>
  void write(const T* data) {
    write_raw(data, element_type<T>(), nullptr);
  }
  template <class T>
  void read(T* data) const {
    read_raw(data, element_type<T>(), nullptr);
  }

  /// The elements of a block, packed in the buffer.
  template <class T>
  void write(const T* data, const Hyperslab& block) {
    write_raw(data, element_type<T>(), &block);
  }
  template <class T>
  void read(T* data, const Hyperslab& block) const {
    read_raw(data, element_type<T>(), &block);
  }

  /// Grows an extendible dataset by `rows` along its first extent and writes them.
  template <class T>
  void append(const T* data, std::int64_t rows = 1) {
    append_raw(data, element_type<T>(), rows);
  }

  /// All elements of a text dataset [count]; what is longer than its width is cut.
  void write_text(const std::vector<std::string>& values);
  std::vector<std::string> read_text() const;

  /// Changes the first extent of an extendible dataset; new elements are zero.
  void resize(std::int64_t rows);

  /// Writes what is buffered, so that SWMR readers see it.
  void flush();

  /// The customary attributes `units` ("1" for a number) and `long_name`.
  void describe(const std::string& units, const std::string& long_name);

 private:
  friend class Group;
  using Object::Object;

  void write_raw(const void* data, ElementType type, const Hyperslab* block);
  void read_raw(void* data, ElementType type, const Hyperslab* block) const;
  void append_raw(const void* data, ElementType type, std::int64_t rows);
};

/// A folder of datasets and groups. Names may be paths ("a/b"); missing groups on the way are created.
class Group : public Object {
 public:
  bool has(const std::string& name) const;
  bool is_group(const std::string& name) const;
  bool is_dataset(const std::string& name) const;
  /// Names of groups and datasets directly inside, sorted.
  std::vector<std::string> children() const;

  /// The group `name`, which must be there; create_group makes a new one; require_group does either.
  Group group(const std::string& name) const;
  Group create_group(const std::string& name);
  Group require_group(const std::string& name);

  Dataset dataset(const std::string& name) const;

  /// A contiguous dataset of fixed extents, not yet written.
  Dataset create_dataset(const std::string& name, ElementType type, const Shape& shape);
  /// A chunked dataset that grows along its first extent: [0] or [0, columns] at first. `chunk_rows` rows
  /// are kept together.
  Dataset create_extendible(const std::string& name, ElementType type, std::int64_t chunk_rows,
                            const Shape& row_shape = {});
  /// An extendible [0] of texts of `width` bytes.
  Dataset create_extendible_text(const std::string& name, std::int64_t chunk_rows, int width);

  /// Unlinks `name`; its space is reused only before the file is closed.
  void remove(const std::string& name);

  /// A new dataset with its contents.
  template <class T>
  Dataset write(const std::string& name, const T* data, const Shape& shape) {
    auto dataset = create_dataset(name, element_type<T>(), shape);
    dataset.write(data);
    return dataset;
  }
  /// A new dataset [values.size()].
  template <class T>
  Dataset write(const std::string& name, const std::vector<T>& values) {
    return write(name, values.data(), {static_cast<std::int64_t>(values.size())});
  }

  /// The whole of a dataset, which must have exactly this shape.
  template <class T>
  void read(const std::string& name, T* data, const Shape& shape) const {
    auto source = dataset(name);
    expect_shape(source, shape);
    source.read(data);
  }
  /// The whole of a dataset of any shape.
  template <class T>
  std::vector<T> read(const std::string& name) const {
    auto source = dataset(name);
    std::vector<T> values(static_cast<std::size_t>(element_count(source.shape())));
    source.read(values.data());
    return values;
  }

 private:
  friend class File;
  using Object::Object;

  std::string child_path(const std::string& name) const;
  static void expect_shape(const Dataset& dataset, const Shape& shape);
};

/// An open HDF5 file. Not copyable; objects obtained from it become unusable when it closes.
class File {
 public:
  /// A new file in the newest format (which SWMR needs); an existing one is emptied.
  static File create(const std::string& path);
  /// For reading.
  static File open(const std::string& path);
  /// For reading and writing.
  static File open_writable(const std::string& path);
  /// For reading while another process writes in SWMR mode.
  static File open_swmr(const std::string& path);

  File(File&&) noexcept = default;
  File& operator=(File&& other) noexcept;
  /// Closes the file if nobody did, silently.
  ~File();

  const std::string& path() const;
  Group root() const;

  /// From now on readers may open the file while this process appends. Groups, datasets and attributes can
  /// no longer be created. Objects opened before stay usable.
  void start_swmr_write();

  /// Hands all buffers to the operating system.
  void flush();

  /// Writes a copy to `path`, as if this file were closed now. An existing file is replaced.
  void copy_closed_to(const std::string& path);

  /// Closes; throws if anything that was written did not reach the file (a full disk may show only here).
  void close();

 private:
  explicit File(std::shared_ptr<hdf5_detail::FileState> state) : state_(std::move(state)) {}

  std::shared_ptr<hdf5_detail::FileState> state_;
};

}  // namespace strait::io
