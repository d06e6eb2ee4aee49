#pragma once
// Parts of a stage's gradients that are complete before others.

#include "strait/model/config.hpp"
#include "strait/model/parameters.hpp"

#include <vector>

namespace strait::pipeline {

/// Elements [begin, end) of the flat vector, complete when the last backward has done the layers of the stage
/// from `layer` on (counted in the stage); with layer -1 only after it, and after what the codec's ends add.
struct GradientPart {
  std::int64_t begin = 0, end = 0;
  int layer = -1;
};

/// Layers of a part, of a stage with so many.
int layers_of_part(int layers);

/// At most 10, which cover the vector once: runs of layers, the last ones with the head, then all else.
std::vector<GradientPart> gradient_parts(const model::ParameterLayout& layout, const model::StageSpan& span);

}  // namespace strait::pipeline
