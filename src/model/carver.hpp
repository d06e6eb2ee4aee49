#pragma once
// Cuts tensors out of one allocation, or only counts what they need.

#include "strait/core/tensor.hpp"

#include <algorithm>

namespace strait::model {

/// Both uses run the same code, so that a size computed beforehand is the size allocated.
template <class T>
class Carver {
 public:
  /// Only counts: the tensors are empty.
  Carver() = default;

  explicit Carver(const Vector<T>& memory) : memory_(memory.data()) {}

  /// U: T, or a type that is larger.
  template <class U = T>
  Matrix<U> matrix(std::int64_t rows, std::int64_t columns) {
    const std::int64_t offset = take<U>(rows * columns);
    return memory_ ? Matrix<U>(reinterpret_cast<U*>(memory_ + offset), rows, columns) : Matrix<U>();
  }

  template <class U = T>
  Vector<U> vector(std::int64_t size) {
    const std::int64_t offset = take<U>(size);
    return memory_ ? Vector<U>(reinterpret_cast<U*>(memory_ + offset), size) : Vector<U>();
  }

  /// Where the next tensor starts. Going back to a mark overlays what follows on what was taken since.
  std::int64_t mark() const { return next_; }
  void back_to(std::int64_t mark) { next_ = mark; }
  void past_everything() { next_ = end_; }
  /// All that was taken since a mark, as one vector.
  Vector<T> since(std::int64_t mark) const {
    return memory_ ? Vector<T>(memory_ + mark, next_ - mark) : Vector<T>();
  }

  std::int64_t size() const { return end_; }  ///< elements

 private:
  template <class U>
  std::int64_t take(std::int64_t size) {
    constexpr std::int64_t alignment = 64 / sizeof(T);  // a cache line
    constexpr std::int64_t elements = sizeof(U) / sizeof(T);
    const std::int64_t offset = next_;
    next_ += (size * elements + alignment - 1) / alignment * alignment;
    end_ = std::max(end_, next_);
    return offset;
  }

  T* memory_ = nullptr;
  std::int64_t next_ = 0;
  std::int64_t end_ = 0;
};

}  // namespace strait::model
