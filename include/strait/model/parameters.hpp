#pragma once
// Parameters by name inside one flat vector: a weight version, a gradient or an optimiser state is one such
// vector.

#include "strait/core/tensor.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace strait::model {

/// What optimisers distinguish.
enum class ParameterRole { embedding, matrix, gain, head, anchor };

/// Which vectors of a parameter are confined to a subspace (by a codec that sends only what lies in it). An
/// update may stretch each vector, but must not scale its entries apart.
enum class Confinement { none, rows, columns };

struct ParameterInfo {
  std::string name;  ///< Hugging Face's
  ParameterRole role;
  std::int64_t rows;  ///< [out, in]; a gain is one row
  std::int64_t columns;
  std::int64_t offset;  ///< first element in the flat vector
  bool shared =
      false;  ///< a copy of a tensor that another stage owns (tied head): not counted, not saved twice
  Confinement confinement = Confinement::none;

  std::int64_t size() const { return rows * columns; }
  bool one_dimensional() const { return role == ParameterRole::gain; }
};

/// Where each named parameter of a stage lies in a flat vector.
class ParameterLayout {
 public:
  /// Appends a parameter and returns its index. Parameters added one after the other with equal columns can
  /// be seen as one matrix, which is how query, key and value (or gate and up) become one product.
  int add(std::string name, ParameterRole role, std::int64_t rows, std::int64_t columns, bool shared = false);

  /// Says that an optimiser must keep vectors of parameter `index` in the span of their gradients.
  void confine(int index, Confinement confinement) { entries_[index].confinement = confinement; }

  const std::vector<ParameterInfo>& entries() const { return entries_; }
  std::int64_t size() const { return size_; }  ///< elements of a flat vector
  /// Elements of the model's own parameters, behind which a codec's anchors lie.
  std::int64_t model_size() const;

  /// Parameter `index` inside `flat`, [rows, columns], unmanaged.
  template <class T>
  Matrix<T> view(const Vector<T>& flat, int index) const {
    const auto& info = entries_[index];
    return as_matrix(flat, info.offset, info.rows, info.columns);
  }

  /// Parameters first..last (inclusive), of equal columns, as one matrix.
  template <class T>
  Matrix<T> fused(const Vector<T>& flat, int first, int last) const {
    const auto& info = entries_[first];
    std::int64_t rows = 0;
    for (int i = first; i <= last; ++i) rows += entries_[i].rows;
    return as_matrix(flat, info.offset, rows, info.columns);
  }

 private:
  std::vector<ParameterInfo> entries_;
  std::int64_t size_ = 0;
};

}  // namespace strait::model
