#pragma once
// Device memory for intermediate results. To allocate and to free it would wait for the whole device each
// time, so what was used once is kept for the next who needs as much.

#include "strait/core/tensor.hpp"

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace strait {

namespace scratch_detail {

/// The sizes that are kept are eight to an octave: at most an eighth is wasted, and a step that asks for what
/// the one before asked for finds it, whatever the order.
inline std::int64_t rounded(std::int64_t size) {
  std::int64_t grain = 1;
  while (grain * 16 < size) grain *= 2;
  return std::max<std::int64_t>(1, (size + grain - 1) / grain * grain);
}

template <class T>
class Pool {
 public:
  static Pool& instance() {
    static Pool pool;
    return pool;
  }

  Vector<T> take(const std::string& label, std::int64_t size) {
    if (blocks_.empty()) Kokkos::push_finalize_hook([] { instance().blocks_.clear(); });
    std::vector<Vector<T>>& alike = blocks_[rounded(size)];
    const auto unused = [](const Vector<T>& block) { return block.use_count() == 1; };
    auto found = std::find_if(alike.begin(), alike.end(), unused);
    if (found == alike.end()) {
      alike.emplace_back(Kokkos::view_alloc(Kokkos::WithoutInitializing, label), rounded(size));
      found = alike.end() - 1;
    }
    return Kokkos::subview(*found, std::make_pair(std::int64_t{0}, size));
  }

 private:
  std::map<std::int64_t, std::vector<Vector<T>>> blocks_;
};

}  // namespace scratch_detail

/// A vector of `size` elements, not initialised, that nobody else uses while a copy of it lives. The host may
/// let go of it before the kernels that use it have run: whoever gets it next comes later on the one
/// execution space instance on which a process computes. A new block carries `label`.
template <class T>
Vector<T> scratch(const std::string& label, std::int64_t size) {
  return scratch_detail::Pool<T>::instance().take(label, size);
}

}  // namespace strait
