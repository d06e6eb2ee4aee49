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

std::int64_t ParameterLayout::model_size() const {
  std::int64_t size = 0;
  for (const ParameterInfo& info : entries_) {
    if (info.role == ParameterRole::anchor) continue;
    ensure(info.offset == size, "anchors lie behind the model's own parameters");
    size += info.size();
  }
  return size;
}

}  // namespace strait::model
