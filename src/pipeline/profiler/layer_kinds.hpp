#pragma once
// The layers of a profile: token table, blocks, head. Those of one kind have equal shapes.

#include "strait/model/stage.hpp"

#include <array>

namespace strait::pipeline {

enum Kind { table, block, head };
inline constexpr int kinds = 3;

/// Of layer `i` of `layers`.
inline Kind kind_of(std::size_t i, std::size_t layers) {
  if (i == 0) return table;
  return i + 1 == layers ? head : block;
}

/// The parameters of a layer of each kind.
std::array<model::ParameterLayout, kinds> layouts(const model::LlamaConfig& config);

}  // namespace strait::pipeline
