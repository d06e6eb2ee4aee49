#include "strait/pipeline/kept_weights.hpp"

#include "strait/core/error.hpp"
#include "strait/io/tensor.hpp"

#include <algorithm>
#include <string>

namespace strait::pipeline {

namespace {

/// In files, beside a version's full weights.
std::string rounded_name(std::int64_t version) { return fmt::format("{}_bfloat16", version); }

/// The bits, for files.
Vector<std::uint16_t> bits_of(const Vector<bfloat16>& numbers) {
  return Vector<std::uint16_t>(reinterpret_cast<std::uint16_t*>(numbers.data()), numbers.extent(0));
}

}  // namespace

template <class T>
KeptWeights<T>::KeptWeights(const model::Weights<T>& newest, int copies) : own_(newest) {
  const auto allocate = [](auto& vector, std::size_t size) {
    if (size == 0) return;
    using Numbers = std::remove_reference_t<decltype(vector)>;
    vector = Numbers(
        Kokkos::view_alloc(Kokkos::WithoutInitializing, std::string("strait::pipeline::kept_weights")), size);
  };
  for (int i = 1; i < copies; ++i) {
    model::Weights<T>& kept = earlier_.emplace_back();
    kept.first = static_cast<std::int64_t>(newest.rounded.extent(0));
    allocate(kept.full, newest.full.extent(0) - newest.rounded.extent(0));
    allocate(kept.rounded, newest.rounded.extent(0));
  }
}

template <class T>
const model::Weights<T>& KeptWeights<T>::place(std::int64_t version) const {
  return earlier_[version % earlier_.size()];
}

template <class T>
const model::Weights<T>& KeptWeights<T>::of(std::int64_t version) const {
  ensure(oldest_ <= version && version <= version_, "the weights of an action are kept");
  return version == version_ ? own_ : place(version);
}

template <class T>
void KeptWeights<T>::advance(const ExecutionSpace& exec) {
  if (!earlier_.empty()) {
    const model::Weights<T>& kept = place(version_);
    const auto end = static_cast<std::int64_t>(own_.full.extent(0));
    Kokkos::deep_copy(exec, kept.full, Kokkos::subview(own_.full, std::make_pair(kept.first, end)));
    if (kept.first > 0) Kokkos::deep_copy(exec, kept.rounded, own_.rounded);
  }
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
    const model::Weights<T>& kept = place(version);
    if (kept.full.extent(0) > 0) io::write_tensor(group, std::to_string(version), exec, kept.full);
    if (kept.first > 0) io::write_tensor(group, rounded_name(version), exec, bits_of(kept.rounded));
  }
}

template <class T>
void KeptWeights<T>::load(const ExecutionSpace& exec, const io::Group& group) {
  const bool rounds = own_.rounded.extent(0) > 0;
  const auto name = [&](std::int64_t version) {
    return rounds ? rounded_name(version) : std::to_string(version);
  };
  while (!earlier_.empty() && group.has(name(oldest_ - 1))) {
    --oldest_;
    const model::Weights<T>& kept = place(oldest_);
    if (kept.full.extent(0) > 0) io::read_tensor(group, std::to_string(oldest_), exec, kept.full);
    if (rounds) io::read_tensor(group, name(oldest_), exec, bits_of(kept.rounded));
  }
}

template <class T>
std::int64_t KeptWeights<T>::memory_bytes() const {
  std::size_t bytes = 0;
  for (const model::Weights<T>& kept : earlier_) {
    bytes += kept.full.extent(0) * sizeof(T) + kept.rounded.extent(0) * sizeof(bfloat16);
  }
  return static_cast<std::int64_t>(bytes);
}

template <class T>
std::int64_t KeptWeights<T>::bytes_needed(const model::ParameterLayout& layout, int copies, bool bfloat16) {
  const std::int64_t rounded = bfloat16 ? layout.model_size() : 0;
  return (copies - 1) * ((layout.size() - rounded) * static_cast<std::int64_t>(sizeof(T)) +
                         rounded * static_cast<std::int64_t>(sizeof(strait::bfloat16)));
}

template class KeptWeights<float>;
template class KeptWeights<double>;

}  // namespace strait::pipeline
