// Names and bytes of the layers of a profile.
#include "strait/pipeline/profiler.hpp"
#include "strait/pipeline/training_plan.hpp"

#include "layer_kinds.hpp"

#include <algorithm>

namespace strait::pipeline {
namespace {

using model::ParameterLayout;
using model::StageSpan;

bool in_a_block(const model::ParameterInfo& info) { return info.name.starts_with("model.layers."); }

/// The parameters of the one block of `span`, or all others.
ParameterLayout part(const model::LlamaConfig& config, const StageSpan& span, bool of_block) {
  ParameterLayout out;
  const ParameterLayout layout = model::stage_layout(config, span);
  for (const model::ParameterInfo& info : layout.entries()) {
    if (in_a_block(info) == of_block) out.add(info.name, info.role, info.rows, info.columns, info.shared);
  }
  return out;
}

template <class T>
class Memory {
 public:
  explicit Memory(const PipelineSetup& setup)
      : setup_(setup), split_backward_(TrainingPlan(setup).split_backward) {}

  /// Of a slot; all but a block's belongs to the ends of a stage.
  std::int64_t table() const { return slot({0, 1, true, false}) - block(); }
  std::int64_t block() const { return slot({0, 2, false, false}) - slot({0, 1, false, false}); }
  std::int64_t head() const { return slot({0, 1, false, true}) - slot({0, 1, false, false}); }

  std::int64_t workspace() const {
    const StageSpan span = {0, 1, true, true};
    const auto parameters = model::stage_layout(setup_.model, span).size();
    const std::int64_t each = 2 * sizeof(T) + (setup_.bfloat16 ? sizeof(bfloat16) : 0);
    return bytes(span, 1) - slot(span) - parameters * each;
  }

 private:
  std::int64_t bytes(const StageSpan& span, int slots) const {
    model::LlamaConfig config = setup_.model;
    config.layers = std::max(config.layers, 2);
    return model::Stage<T>::bytes_needed(config, span,
                                         {.sequences = setup_.sequences,
                                          .slots = slots,
                                          .recompute = setup_.recompute,
                                          .split_backward = split_backward_,
                                          .bfloat16 = setup_.bfloat16});
  }
  std::int64_t slot(const StageSpan& span) const { return bytes(span, 2) - bytes(span, 1); }

  const PipelineSetup& setup_;
  bool split_backward_;
};

}  // namespace

std::array<ParameterLayout, kinds> layouts(const model::LlamaConfig& config) {
  return {part(config, {0, 1, true, false}, false), part(config, {0, 1, false, false}, true),
          part(config, {0, 1, false, true}, false)};
}

template <class T>
void size_layers(const PipelineSetup& setup, Profile& profile) {
  const auto of = layouts(setup.model);
  const Memory<T> memory(setup);
  const std::array activations = {memory.table(), memory.block(), memory.head()};
  constexpr auto element = static_cast<std::int64_t>(sizeof(T));
  const std::int64_t rounded = setup.bfloat16 ? sizeof(bfloat16) : 0;  // of the copy that layers read
  const std::int64_t output = std::int64_t{setup.sequences} * setup.model.context * setup.model.hidden *
                              (setup.bfloat16 ? rounded : element);
  const auto add = [&](Kind kind, std::string name) {
    const std::int64_t bytes = of[kind].size() * element;
    profile.layers.push_back({.name = std::move(name),
                              .parameter_bytes = bytes,
                              .state_bytes = bytes + of[kind].size() * rounded +
                                             optim::state_bytes_needed<T>(setup.optimizer, of[kind]),
                              .activation_bytes = activations[kind],
                              .output_bytes = kind == head ? 0 : output});
  };
  profile.sequences = setup.sequences;
  profile.tokens = std::int64_t{setup.sequences} * setup.model.context;
  profile.workspace_bytes = memory.workspace();
  profile.layers.clear();
  add(table, "model.embed_tokens");
  for (int i = 0; i < setup.model.layers; ++i) add(block, fmt::format("model.layers.{}", i));
  add(head, "lm_head");
}

template void size_layers<float>(const PipelineSetup&, Profile&);
template void size_layers<double>(const PipelineSetup&, Profile&);

}  // namespace strait::pipeline
