#pragma once
// The versions of a stage's weights that micro-batches in flight still need.

#include "strait/io/hdf5.hpp"
#include "strait/model/parameters.hpp"
#include "strait/model/weights.hpp"

#include <cstdint>
#include <vector>

namespace strait::pipeline {

/// The newest version is the stage's own vector, which an update changes in place; before that it is copied
/// over the oldest: as layers read it, and anchors. A version is the number of updates that it has seen.
template <class T>
class KeptWeights {
 public:
  /// `newest` of version 0; `copies` versions exist at once, the newest among them.
  KeptWeights(const model::Weights<T>& newest, int copies);

  std::int64_t newest() const { return version_; }
  const model::Weights<T>& of(std::int64_t version) const;

  /// Just before the newest weights become the next version.
  void advance(const ExecutionSpace& exec);

  /// The newest weights are version `version`; earlier ones are unknown.
  void begin_at(std::int64_t version);

  /// All versions but the newest, and back after begin_at.
  void save(const ExecutionSpace& exec, io::Group group) const;
  void load(const ExecutionSpace& exec, const io::Group& group);

  std::int64_t memory_bytes() const;
  static std::int64_t bytes_needed(const model::ParameterLayout& layout, int copies, bool bfloat16);

 private:
  const model::Weights<T>& place(std::int64_t version) const;

  model::Weights<T> own_;
  std::vector<model::Weights<T>> earlier_;  ///< version v at index v modulo their number
  std::int64_t version_ = 0;
  std::int64_t oldest_ = 0;
};

extern template class KeptWeights<float>;
extern template class KeptWeights<double>;

}  // namespace strait::pipeline
