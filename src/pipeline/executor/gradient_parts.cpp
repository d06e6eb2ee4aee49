#include "strait/pipeline/gradient_parts.hpp"

#include "strait/core/error.hpp"

#include <algorithm>
#include <string>

namespace strait::pipeline {
namespace {

constexpr int most_runs = 8;

/// The layer of a parameter, counted in the stage; those of the head belong to the last one.
int layer_of(const model::ParameterInfo& info, const model::StageSpan& span) {
  const std::string prefix = "model.layers.";
  if (info.name.starts_with(prefix)) return std::stoi(info.name.substr(prefix.size())) - span.first_layer;
  const bool of_head = info.shared || info.role == model::ParameterRole::head ||
                       (info.role == model::ParameterRole::gain && span.has_head);
  return of_head ? span.layers() - 1 : -1;
}

}  // namespace

int layers_of_part(int layers) { return (layers + most_runs - 1) / most_runs; }

std::vector<GradientPart> gradient_parts(const model::ParameterLayout& layout, const model::StageSpan& span) {
  const int layers_to_run = layers_of_part(span.layers());
  std::vector<GradientPart> parts;
  int run = -2;
  for (const model::ParameterInfo& info : layout.entries()) {
    const int layer = layer_of(info, span);
    const int own_run = layer < 0 ? -1 : layer / layers_to_run;
    if (own_run != run) parts.push_back({info.offset, info.offset, layer < 0 ? -1 : own_run * layers_to_run});
    parts.back().end = info.offset + info.size();
    run = own_run;
  }
  std::stable_sort(parts.begin(), parts.end(),
                   [](const GradientPart& a, const GradientPart& b) { return a.layer > b.layer; });
  ensure(parts.size() <= most_runs + 2, "few enough parts");
  return parts;
}

}  // namespace strait::pipeline
