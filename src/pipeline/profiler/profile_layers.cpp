#include "strait/pipeline/profiler.hpp"

#include "lap_stage.hpp"
#include "layer_kinds.hpp"
#include "layer_update.hpp"
#include "repetition.hpp"

#include <algorithm>
#include <array>

namespace strait::pipeline {
namespace {

constexpr int most_blocks = 4;

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
  size_layers<T>(setup, profile);
  for (std::size_t i = 0; i < profile.layers.size(); ++i) {
    LayerProfile& layer = profile.layers[i];
    const Kind kind = kind_of(i, profile.layers.size());
    layer.forward = passes.forward[kind];
    layer.backward_input = passes.backward_input[kind];
    layer.backward_weight = passes.backward_weight[kind];
    layer.update = updates[kind];
  }
  profile.blocks_measured = blocks;
}

template void measure_layers<float>(const ExecutionSpace&, const PipelineSetup&, const Effort&, Profile&);
template void measure_layers<double>(const ExecutionSpace&, const PipelineSetup&, const Effort&, Profile&);

}  // namespace strait::pipeline
