#include "strait/core/error.hpp"
#include "strait/model/config.hpp"
#include "strait/model/costs.hpp"

#include <algorithm>
#include <iterator>
#include <numeric>

namespace strait::model {
namespace {

/// Gives one layer after the other to the stage that is cheapest so far. As layers cost the same, this makes
/// the dearest stage as cheap as any split can: had it got its last layer beyond that, no stage would have
/// had room for one, and the layers before would not fit in any split. Ties go to the later stage, which
/// keeps fewer micro-batches in flight.
std::vector<int> balanced_split(const LlamaConfig& config, int stages) {
  std::vector<double> cost(stages, layer_forward_flops(config));
  cost.front() += config.hidden;  // the token table is read, not multiplied
  cost.back() += head_forward_flops(config);
  std::vector<int> split(stages, 1);
  for (int layer = stages; layer < config.layers; ++layer) {
    const auto cheapest = std::min_element(cost.rbegin(), cost.rend());
    *cheapest += layer_forward_flops(config);
    ++split[std::distance(cheapest, cost.rend()) - 1];
  }
  return split;
}

void check_split(const LlamaConfig& config, int stages, const std::vector<int>& split) {
  if (static_cast<int>(split.size()) != stages) {
    fail(ExitCode::deck, "[pipeline] split: has {} entries, expected one for each of the {} stages",
         split.size(), stages);
  }
  for (const int layers : split) {
    if (layers < 1) {
      fail(ExitCode::deck, "[pipeline] split: a stage has {} layers, expected at least 1", layers);
    }
  }
  const auto sum = std::accumulate(split.begin(), split.end(), std::int64_t{0});
  if (sum != config.layers) {
    fail(ExitCode::deck, "[pipeline] split: adds up to {} layers, expected [model] layers = {}", sum,
         config.layers);
  }
}

}  // namespace

std::vector<StageSpan> split_layers(const LlamaConfig& config, int stages, const std::vector<int>& split) {
  if (stages < 1 || stages > config.layers) {
    fail(ExitCode::deck, "[pipeline] stages: is {}, expected 1 to [model] layers = {}", stages,
         config.layers);
  }
  if (!split.empty()) check_split(config, stages, split);
  const auto layers = split.empty() ? balanced_split(config, stages) : split;

  std::vector<StageSpan> spans;
  int first = 0;
  for (int stage = 0; stage < stages; ++stage) {
    spans.push_back({first, first + layers[stage], stage == 0, stage == stages - 1});
    first += layers[stage];
  }
  ensure(first == config.layers, "the stages do not cover every layer once");
  return spans;
}

}  // namespace strait::model
