#include "strait/model/parameters.hpp"

#include "strait/core/error.hpp"

#include <utility>

namespace strait::model {

int ParameterLayout::add(std::string name, ParameterRole role, std::int64_t rows, std::int64_t columns,
                         bool shared) {
  ensure(rows > 0 && columns > 0, "a parameter has no elements");
  entries_.push_back({std::move(name), role, rows, columns, size_, shared});
  size_ += rows * columns;
  return static_cast<int>(entries_.size()) - 1;
}

}  // namespace strait::model
