#include "strait/pipeline/kept_weights.hpp"

#include "strait/core/error.hpp"
#include "strait/io/tensor.hpp"

#include <algorithm>
#include <string>

namespace strait::pipeline {

template <class T>
KeptWeights<T>::KeptWeights(const Vector<T>& newest, int copies) : own_(newest) {
  for (int i = 1; i < copies; ++i) {
    earlier_.emplace_back(Kokkos::view_alloc(Kokkos::WithoutInitializing, "strait::pipeline::kept_weights"),
                          newest.extent(0));
  }
}

template <class T>
const Vector<T>& KeptWeights<T>::place(std::int64_t version) const {
  return earlier_[version % earlier_.size()];
}

template <class T>
const Vector<T>& KeptWeights<T>::of(std::int64_t version) const {
  ensure(oldest_ <= version && version <= version_, "the weights of an action are kept");
  return version == version_ ? own_ : place(version);
}

template <class T>
void KeptWeights<T>::advance(const ExecutionSpace& exec) {
  if (!earlier_.empty()) Kokkos::deep_copy(exec, place(version_), own_);
  ++version_;
  oldest_ = std::max(oldest_, version_ - static_cast<std::int64_t>(earlier_.size()));
}

template <class T>
void KeptWeights<T>::begin_at(std::int64_t version) {
  version_ = oldest_ = version;
}

template <class T>
void KeptWeights<T>::save(const ExecutionSpace& exec, io::Group group) const {
  for (std::int64_t version = oldest_; version < version_; ++version) {
    io::write_tensor(group, std::to_string(version), exec, place(version));
  }
}

template <class T>
void KeptWeights<T>::load(const ExecutionSpace& exec, const io::Group& group) {
  while (!earlier_.empty() && group.has(std::to_string(oldest_ - 1))) {
    --oldest_;
    io::read_tensor(group, std::to_string(oldest_), exec, place(oldest_));
  }
}

template <class T>
std::int64_t KeptWeights<T>::memory_bytes() const {
  return bytes_needed(static_cast<std::int64_t>(own_.extent(0)), static_cast<int>(earlier_.size()) + 1);
}

template <class T>
std::int64_t KeptWeights<T>::bytes_needed(std::int64_t elements, int copies) {
  return (copies - 1) * elements * static_cast<std::int64_t>(sizeof(T));
}

template class KeptWeights<float>;
template class KeptWeights<double>;

}  // namespace strait::pipeline
