#pragma once
// Some of a layout's parameters, for optimisers that treat kinds apart.

#include "strait/model/parameters.hpp"

namespace strait::optim {

/// Whether an optimiser updates a parameter.
using ParameterFilter = bool (*)(const model::ParameterInfo&);

inline bool every_parameter(const model::ParameterInfo&) { return true; }

/// Hidden matrices: attention and feed-forward.
inline bool is_matrix(const model::ParameterInfo& info) { return info.role == model::ParameterRole::matrix; }
inline bool is_not_matrix(const model::ParameterInfo& info) { return !is_matrix(info); }

/// Hidden matrices that may be scaled in a basis of their own. A confined one may not.
inline bool is_rotated(const model::ParameterInfo& info) {
  return is_matrix(info) && info.confinement == model::Confinement::none;
}
inline bool is_not_rotated(const model::ParameterInfo& info) { return !is_rotated(info); }

/// The chosen parameters of `layout` in their order, packed.
inline model::ParameterLayout select(const model::ParameterLayout& layout, ParameterFilter chosen) {
  model::ParameterLayout packed;
  for (const auto& info : layout.entries()) {
    if (!chosen(info)) continue;
    packed.confine(packed.add(info.name, info.role, info.rows, info.columns, info.shared), info.confinement);
  }
  return packed;
}

}  // namespace strait::optim
