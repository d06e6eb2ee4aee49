#include "strait/pipeline/profiler.hpp"

#include "lap_stage.hpp"
#include "layer_update.hpp"
#include "repetition.hpp"

#include <algorithm>
#include <array>

namespace strait::pipeline {
namespace {

using model::ParameterLayout;
using model::StageSpan;

constexpr int most_blocks = 4;

/// Layers of one kind have equal shapes.
enum Kind { table, block, head };
constexpr int kinds = 3;

/// Repeated laps by kind.
struct Samples {
  std::array<std::vector<double>, kinds> of;

  void add(const Laps& laps) {
    of[table].push_back(laps.front());
    of[block].insert(of[block].end(), laps.begin() + 1, laps.end() - 1);
    of[head].push_back(laps.back());
  }
  Timing operator[](int kind) const { return summary(of[kind]); }
};

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

std::array<ParameterLayout, kinds> layouts(const model::LlamaConfig& config) {
  return {part(config, {0, 1, true, false}, false), part(config, {0, 1, false, false}, true),
          part(config, {0, 1, false, true}, false)};
}

template <class T>
class Memory {
 public:
  explicit Memory(const PipelineSetup& setup) : setup_(setup) {}

  /// Of a slot; all but a block's belongs to the ends of a stage.
  std::int64_t table() const { return slot({0, 1, true, false}) - block(); }
  std::int64_t block() const { return slot({0, 2, false, false}) - slot({0, 1, false, false}); }
  std::int64_t head() const { return slot({0, 1, false, true}) - slot({0, 1, false, false}); }

  std::int64_t workspace() const {
    const StageSpan span = {0, 1, true, true};
    const auto parameters = 2 * model::stage_layout(setup_.model, span).size();
    return bytes(span, 1) - slot(span) - parameters * static_cast<std::int64_t>(sizeof(T));
  }

 private:
  std::int64_t bytes(const StageSpan& span, int slots) const {
    model::LlamaConfig config = setup_.model;
    config.layers = std::max(config.layers, 2);
    return model::Stage<T>::bytes_needed(
        config, span, {.sequences = setup_.sequences, .slots = slots, .recompute = setup_.recompute});
  }
  std::int64_t slot(const StageSpan& span) const { return bytes(span, 2) - bytes(span, 1); }

  const PipelineSetup& setup_;
};

Timing scaled(const Timing& timing, double factor) {
  return {timing.median * factor, timing.low * factor, timing.high * factor};
}

struct Passes {
  std::array<Timing, kinds> forward, backward_input, backward_weight;
};

template <class T>
Passes measure_passes(const ExecutionSpace& exec, const PipelineSetup& setup, int blocks,
                      const Effort& effort) {
  Samples forward, backward, input, weight;
  {
    LapStage<T> stage(exec, setup, blocks, false);
    repeat(effort, [&](bool counts) {
      const Laps ahead = stage.forward(), back = stage.backward();
      if (!counts) return;
      forward.add(ahead);
      backward.add(back);
    });
  }
  LapStage<T> stage(exec, setup, blocks, true);
  repeat(effort, [&](bool counts) {
    stage.forward();
    const Laps first = stage.backward_input(), second = stage.backward_weight();
    if (!counts) return;
    input.add(first);
    weight.add(second);
  });

  Passes out;
  for (int kind = 0; kind < kinds; ++kind) {
    out.forward[kind] = forward[kind];
    // A recomputed forward is part of the half that the stage before waits for.
    const double again = setup.recompute && kind == block ? forward[kind].median : 0.0;
    const double share = weight[kind].median / (weight[kind].median + input[kind].median + again);
    out.backward_weight[kind] = scaled(backward[kind], share);
    out.backward_input[kind] = scaled(backward[kind], 1.0 - share);
  }
  return out;
}

template <class T>
std::array<Timing, kinds> measure_updates(const ExecutionSpace& exec, const PipelineSetup& setup, int blocks,
                                          const Effort& effort) {
  const auto of = layouts(setup.model);
  std::vector<std::unique_ptr<LayerUpdate<T>>> updates;  // all of them, so that none stays in a cache
  updates.push_back(std::make_unique<LayerUpdate<T>>(exec, setup, of[table]));
  for (int i = 0; i < blocks; ++i)
    updates.push_back(std::make_unique<LayerUpdate<T>>(exec, setup, of[block]));
  updates.push_back(std::make_unique<LayerUpdate<T>>(exec, setup, of[head]));
  Samples samples;
  repeat(effort, [&](bool counts) {
    Laps laps;
    for (auto& update : updates) laps.push_back(update->time());
    if (counts) samples.add(laps);
  });
  return {samples[table], samples[block], samples[head]};
}

}  // namespace

Timing summary(std::vector<double> seconds) {
  ensure(!seconds.empty(), "a measurement was repeated");
  std::sort(seconds.begin(), seconds.end());
  const auto at = [&](double fraction) {
    const double place = fraction * static_cast<double>(seconds.size() - 1);
    const auto below = static_cast<std::size_t>(place);
    const std::size_t above = std::min(below + 1, seconds.size() - 1);
    return seconds[below] + (place - static_cast<double>(below)) * (seconds[above] - seconds[below]);
  };
  return {at(0.5), at(0.25), at(0.75)};
}

template <class T>
void measure_layers(const ExecutionSpace& exec, const PipelineSetup& setup, const Effort& effort,
                    Profile& profile) {
  const int blocks = std::min(setup.model.layers, most_blocks);
  const Passes passes = measure_passes<T>(exec, setup, blocks, effort);
  const auto updates = measure_updates<T>(exec, setup, blocks, effort);
  const auto of = layouts(setup.model);
  const Memory<T> memory(setup);
  const std::array activations = {memory.table(), memory.block(), memory.head()};
  const auto add = [&](Kind kind, std::string name) {
    const std::int64_t bytes = of[kind].size() * static_cast<std::int64_t>(sizeof(T));
    profile.layers.push_back({.name = std::move(name),
                              .forward = passes.forward[kind],
                              .backward_input = passes.backward_input[kind],
                              .backward_weight = passes.backward_weight[kind],
                              .update = updates[kind],
                              .parameter_bytes = bytes,
                              .state_bytes = bytes + optim::state_bytes_needed<T>(setup.optimizer, of[kind]),
                              .activation_bytes = activations[kind],
                              .output_bytes = kind == head ? 0
                                                           : std::int64_t{setup.sequences} *
                                                                 setup.model.context * setup.model.hidden *
                                                                 static_cast<std::int64_t>(sizeof(T))});
  };
  profile.layers.clear();
  add(table, "model.embed_tokens");
  for (int i = 0; i < setup.model.layers; ++i) add(block, fmt::format("model.layers.{}", i));
  add(head, "lm_head");
  profile.blocks_measured = blocks;
  profile.workspace_bytes = memory.workspace();
}

template void measure_layers<float>(const ExecutionSpace&, const PipelineSetup&, const Effort&, Profile&);
template void measure_layers<double>(const ExecutionSpace&, const PipelineSetup&, const Effort&, Profile&);

}  // namespace strait::pipeline
