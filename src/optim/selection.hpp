#pragma once
// Parameters of some roles, for optimisers that treat roles apart.

#include "strait/model/parameters.hpp"

namespace strait::optim {

/// Whether an optimiser updates parameters of a role.
using RoleFilter = bool (*)(model::ParameterRole);

inline bool every_role(model::ParameterRole) { return true; }

/// The chosen parameters of `layout` in their order, packed.
inline model::ParameterLayout select(const model::ParameterLayout& layout, RoleFilter chosen) {
  model::ParameterLayout packed;
  for (const auto& info : layout.entries()) {
    if (!chosen(info.role)) continue;
    packed.confine(packed.add(info.name, info.role, info.rows, info.columns, info.shared), info.confinement);
  }
  return packed;
}

}  // namespace strait::optim
