// A whole training step as the run loop takes it, two stages in one process through projecting boundaries,
// and what of it is in no kernel: the host code of schedule, transport, codecs and updates, which grows with
// the stages and not with the model. Of two micro-batches; more have a smaller update each.

#include "strait/codec/projection.hpp"
#include "strait/optim/stiefel.hpp"
#include "strait/pipeline/pipeline.hpp"

#include "kernel_times.hpp"
#include "operands.hpp"
#include "optimizer_settings.hpp"
#include "suite.hpp"

namespace strait::pipeline {
namespace {

constexpr int stages = 2;

PipelineSetup setup_of(const perf::Deck& deck) {
  PipelineSetup setup;
  setup.model = deck.model;
  setup.spans = model::split_layers(deck.model, stages, {});
  setup.schedule = "1f1b";
  setup.sequences = deck.sequences;
  setup.micro_batches = 2;
  setup.optimizer = perf::optimizer_settings("adamw");
  return setup;
}

codec::ProjectionCodec<float> mapl(const perf::Deck& deck) {
  codec::ProjectionOptions options;
  options.interval = 1;
  options.rank = deck.rank();
  options.wire = codec::Wire::bfloat16;
  options.anchors = codec::AnchorKind::factorized;
  options.rule = optim::spel;
  return codec::ProjectionCodec<float>(options);
}

void step(benchmark::State& state, const perf::Deck& deck) {
  const ExecutionSpace exec;
  const PipelineSetup setup = setup_of(deck);
  Pipeline<float> pipeline(exec, setup, mapl(deck));
  const BatchSource batches = [&](const BatchRequest& request) {
    for (const auto& ids : {request.ids, request.targets}) {
      if (ids.size() > 0) perf::fill_ids(exec, ids, setup.model.vocab);
    }
  };
  StepInfo info;
  info.learning_rate = 1e-6;
  pipeline.step(info, batches);
  for (auto _ : state) {
    const double begin = perf::now();
    double outside = 0.0;
    {
      const perf::KernelTimes times;
      pipeline.step(info, batches);
      outside = perf::now() - begin - perf::KernelTimes::inside_kernels();
    }
    const double counting = perf::KernelTimes::counting();
    state.counters["outside_kernels"] = (outside - counting) / (perf::now() - begin);
  }
}

void list(perf::Suite& suite, const std::vector<perf::Deck>& decks) {
  for (const auto& deck : decks) {
    if (host_accessible) {  // elsewhere kernels do not run as they are launched
      suite.add_experiment("step/" + deck.name, [deck](benchmark::State& state) { step(state, deck); });
    }
  }
}
const perf::Registration registration(list);

}  // namespace
}  // namespace strait::pipeline
