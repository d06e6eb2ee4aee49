#include "strait/app/plan_task.hpp"

#include "strait/app/profile_command.hpp"
#include "strait/pipeline/profiler.hpp"

#include <limits>
#include <numeric>

namespace strait::app {

pipeline::Profile read_profile(const std::string& path, const Settings& settings, const Deck* deck) {
  const pipeline::Profile profile = pipeline::Profile::load(io::File::open(path).root());
  const std::string model = profiled_model(settings);
  if (profile.model != model) {
    fail(ExitCode::deck, "{}: is a profile of {}; the deck has {}", path, profile.model, model);
  }
  if (profile.sequences != settings.training.micro_batch) {
    fail(ExitCode::deck, "{}: is a profile of micro-batches of {} sequences; [training] micro_batch is {}",
         path, profile.sequences, settings.training.micro_batch);
  }
  if (!deck) return profile;
  for (const DeckDifference& difference : deck->differences(profile.deck)) {
    if (!difference.key.starts_with("codec.") || difference.key == "codec.diagnostics_interval") continue;
    fail(ExitCode::deck, "{}: is a profile with {} = {}; the deck has {}", path, difference.key,
         difference.before.empty() ? "(absent)" : difference.before,
         difference.after.empty() ? "(absent)" : difference.after);
  }
  return profile;
}

template <class T>
pipeline::Profile read_profile(const std::string& path, const Settings& settings, const Deck& deck,
                               const codec::Codec<T>& codec) {
  pipeline::Profile profile = read_profile(path, settings, &deck);
  const auto training = TrainingConfig::from_deck(Deck::from_string(profile.deck, path).table("training"));
  pipeline::fit_synchronisation<T>(settings.pipeline_setup(), codec, training.micro_batches(), profile);
  return profile;
}

pipeline::PlanTask plan_task(const Settings& settings, const pipeline::Profile& profile,
                             const pipeline::Machine& machine) {
  pipeline::PlanTask task;
  task.layers = pipeline::plan_layers(profile);
  task.boundary = pipeline::plan_boundary(profile);
  task.machine = machine;
  task.schedule = settings.pipeline.schedule;
  task.weight_versions = settings.pipeline.weight_versions;
  task.bfloat16 = settings.training.bfloat16();
  if (task.schedule == "interleaved") {
    fail(ExitCode::deck,
         "strait plan: a rank has several runs of layers with schedule \"interleaved\", expected another "
         "pipeline.schedule");
  }
  task.workspace_bytes = static_cast<double>(profile.workspace_bytes);
  task.micro_batches = settings.training.micro_batches();
  return task;
}

std::vector<int> profiled_split(const Settings& settings, const pipeline::Profile& profile) {
  std::vector<int> replicas = settings.pipeline.replicas;
  if (replicas.empty()) replicas.assign(settings.pipeline.virtual_stages(), 1);
  pipeline::PlanTask task;
  task.layers = pipeline::plan_layers(profile);
  task.boundary = pipeline::plan_boundary(profile);
  task.micro_batches = settings.training.micro_batches();
  task.machine.levels = {{.components = std::accumulate(replicas.begin(), replicas.end(), 0),
                          .bandwidth = std::numeric_limits<double>::infinity()}};
  std::vector<int> split;
  for (const auto& stage : pipeline::cut_layers(task, replicas).stages) {
    split.push_back(stage.last_layer - stage.first_layer);
  }
  return split;
}

template pipeline::Profile read_profile<float>(const std::string&, const Settings&, const Deck&,
                                               const codec::Codec<float>&);
template pipeline::Profile read_profile<double>(const std::string&, const Settings&, const Deck&,
                                                const codec::Codec<double>&);

}  // namespace strait::app
