#pragma once
// Tied embeddings across stages: the first and the last stage hold a copy of one table each. Adding up both
// gradients on both sides keeps the copies bitwise equal, as a + b = b + a in floating point.

#include "strait/model/parameters.hpp"
#include "strait/pipeline/transport.hpp"

#include <optional>

namespace strait::pipeline {

template <class T>
class TiedReduction {
 public:
  /// `gradient` [vocab, hidden] is this rank's part of the gradient, contiguous.
  TiedReduction(const ExecutionSpace& exec, Transport& transport, int peer, const Matrix<T>& gradient);

  /// Posts the receive of one reduction.
  void begin();

  /// True once the gradient holds the sum; never waits.
  bool advance();

  std::int64_t memory_bytes() const { return theirs_.bytes.extent(0); }
  /// The same for a stage of `layout` that is the first or else the last. Refuses as the constructor does.
  static std::int64_t bytes_needed(const model::ParameterLayout& layout, bool first);

 private:
  ExecutionSpace exec_;
  Transport& transport_;
  Envelope envelope_;
  Matrix<T> gradient_;
  codec::Message mine_;  ///< the gradient's own memory
  codec::Message theirs_;
  std::optional<int> receive_, send_;
  bool sent_ = false;
};

/// Index of the copy of the tied table in a stage's layout: the token table where `first`, else the shared
/// head.
int tied_parameter(const model::ParameterLayout& layout, bool first);

extern template class TiedReduction<float>;
extern template class TiedReduction<double>;

}  // namespace strait::pipeline
