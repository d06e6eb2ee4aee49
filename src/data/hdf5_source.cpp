#include "strait/core/error.hpp"
#include "strait/data/token_source.hpp"
#include "strait/io/hdf5.hpp"

#include <algorithm>
#include <vector>

namespace strait::data {
namespace {

template <class T>
class Hdf5Source final : public TokenSource {
 public:
  Hdf5Source(const std::string& path, io::File file, io::Dataset tokens)
      : TokenSource(path),
        file_(std::move(file)),
        tokens_(std::move(tokens)),
        size_(io::element_count(tokens_.shape())) {}

  std::int64_t size() const override { return size_; }

  void read(std::int64_t offset, std::span<std::int32_t> out) const override {
    std::vector<T> values(out.size());
    tokens_.read(values.data(), {{offset}, {static_cast<std::int64_t>(out.size())}});
    std::copy(values.begin(), values.end(), out.begin());
  }

 private:
  io::File file_;  // outlives the dataset
  io::Dataset tokens_;
  std::int64_t size_;
};

}  // namespace

std::unique_ptr<TokenSource> open_hdf5(const std::string& path) {
  io::File file = io::File::open(path);
  io::Dataset tokens = file.root().dataset("tokens");
  const io::Shape shape = tokens.shape();
  if (shape.size() != 1) {
    fail(ExitCode::io, "{}: the shape is {}, expected [count]", tokens.where(), io::to_string(shape));
  }
  if (shape[0] == 0) fail(ExitCode::io, "{}: empty, expected tokens", tokens.where());
  switch (tokens.type()) {
    case io::ElementType::uint8:
      return std::make_unique<Hdf5Source<std::uint8_t>>(path, std::move(file), std::move(tokens));
    case io::ElementType::uint16:
      return std::make_unique<Hdf5Source<std::uint16_t>>(path, std::move(file), std::move(tokens));
    case io::ElementType::int32:
      return std::make_unique<Hdf5Source<std::int32_t>>(path, std::move(file), std::move(tokens));
    default:
      fail(ExitCode::io, "{}: the elements are {}, expected uint8, uint16 or int32", tokens.where(),
           io::name(tokens.type()));
  }
}

}  // namespace strait::data
