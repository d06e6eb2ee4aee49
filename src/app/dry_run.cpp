#include "strait/app/dry_run.hpp"

#include "strait/app/units_text.hpp"
#include "strait/pipeline/stage_unit.hpp"

#include <algorithm>

namespace strait::app {

namespace {

std::string span_text(const model::StageSpan& span) {
  std::string text = fmt::format("layers {:>2}-{:<2}", span.first_layer, span.last_layer - 1);
  if (span.embeds) text += " +table";
  if (span.has_head) text += " +head";
  return text;
}

}  // namespace

template <class T>
std::string describe_run(const Settings& settings, const codec::Codec<T>& codec) {
  const auto& model = settings.model;
  const auto setup = settings.pipeline_setup();
  const pipeline::TrainingPlan plan(setup);

  const double tokens = static_cast<double>(settings.tokens_per_step());
  const double steps = static_cast<double>(settings.run.steps);
  std::string text;
  const auto line = [&](const std::string& name, const std::string& value) {
    text += fmt::format("{:<12} {}\n", name, value);
  };
  line(
      "model",
      fmt::format("{}parameters, {} layers, hidden {}, {} heads ({} key-value), ffn {}, vocab {}, context {}",
                  with_prefix(static_cast<double>(model.parameters())), model.layers, model.hidden,
                  model.heads, model.kv_heads, model.ffn_hidden, model.vocab, model.context));
  line("step",
       fmt::format("{}tokens in {} micro-batches of {} sequences, {}FLOP", with_prefix(tokens),
                   setup.micro_batches, setup.sequences, with_prefix(tokens * model.flops_per_token())));
  line("run",
       fmt::format("{} steps, {}tokens ({:.1f} per parameter), {}FLOP", settings.run.steps,
                   with_prefix(tokens * steps), tokens * steps / static_cast<double>(model.parameters()),
                   with_prefix(tokens * steps * model.flops_per_token())));
  const pipeline::Placement placement = setup.placement();
  std::string schedule = setup.schedule;
  if (setup.schedule == "pipedream") schedule += fmt::format(" ({})", setup.weight_versions);
  schedule += fmt::format(", {} stages", placement.stages);
  if (setup.chunks > 1) schedule += fmt::format(" of {} runs of layers", setup.chunks);
  if (!setup.replicas.empty()) {
    schedule += fmt::format(", replicas {}: {} ranks", fmt::join(setup.replicas, "-"), placement.ranks());
  }
  line("schedule", schedule);

  for (int first = 0; first < placement.stages; ++first) {
    std::string spans, in_flight;
    std::int64_t parameters = 0, bytes = 0;
    if (placement.replicas_of(first) > 1) spans = fmt::format("{} x ", placement.replicas_of(first));
    for (int stage = first; stage < setup.stages(); stage += placement.stages) {
      const char* separator = stage > first ? ", " : "";
      spans += separator + span_text(setup.spans[stage]);
      in_flight += fmt::format("{}{}", stage > first ? " + " : "", plan.slots_of(stage));
      parameters += model::stage_layout(model, setup.spans[stage]).size();
      bytes += pipeline::StageUnit<T>::bytes_needed(setup, plan, stage, codec);
    }
    const int versions = plan.weight_copies(first);
    line(fmt::format("stage {}", first),
         fmt::format("{}, {}parameters{}, {} micro-batches in flight, {}", spans,
                     with_prefix(static_cast<double>(parameters)),
                     versions > 1 ? fmt::format(", {} versions of weights", versions) : "", in_flight,
                     bytes_text(static_cast<double>(bytes))));
  }
  for (int boundary = 0; boundary + 1 < setup.stages(); ++boundary) {
    const auto shape = pipeline::boundary_shape(setup, boundary, 1);
    const auto bounds = codec.bounds(shape);
    const auto capacities = pipeline::message_capacities(codec, shape);
    pipeline::check_message_size(std::max(capacities.forward, capacities.backward));
    line(
        fmt::format("boundary {}", boundary),
        fmt::format("after layer {}, at most {} forward, {} back and {} to synchronise per step",
                    setup.spans[boundary].last_layer - 1,
                    bytes_text(static_cast<double>(bounds.forward) * setup.micro_batches),
                    bytes_text(static_cast<double>(bounds.backward) * setup.micro_batches),
                    bytes_text(static_cast<double>(bounds.sync_up * placement.replicas_of(boundary) +
                                                   bounds.sync_down * placement.replicas_of(boundary + 1)))));
  }
  return text;
}

template std::string describe_run<float>(const Settings&, const codec::Codec<float>&);
template std::string describe_run<double>(const Settings&, const codec::Codec<double>&);

}  // namespace strait::app
