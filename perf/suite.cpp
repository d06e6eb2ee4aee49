#include "suite.hpp"

#include <filesystem>
#include <optional>

namespace strait::perf {

namespace {

std::vector<Registration::List>& lists() {
  static std::vector<Registration::List> value;
  return value;
}

/// Google Benchmark calls a benchmark several times, first to find out how often it must iterate: what it
/// works on is made once.
struct Prepared {
  std::string name;
  Task task;
};

std::optional<Prepared>& prepared() {
  static std::optional<Prepared> value;
  return value;
}

const Task& prepare(const std::string& name, const std::function<Task(const ExecutionSpace&)>& make) {
  auto& current = prepared();
  if (!current || current->name != name) {
    current.reset();  // frees the one before first
    current = Prepared{name, make(ExecutionSpace())};
    if (current->task.before) current->task.before();
    current->task.run();
  }
  return current->task;
}

void time(benchmark::State& state, const Task& task, bool beside_machine) {
  const ExecutionSpace exec;
  const auto machine = [&] { return beside_machine ? measure_roofline(task.work) : Roofline(); };
  const Roofline before = machine();
  for (auto _ : state) {
    if (task.before) {
      state.PauseTiming();
      task.before();
      fence(exec, "strait::perf: what follows is timed alone");
      state.ResumeTiming();
    }
    task.run();
    fence(exec, "strait::perf: each run is timed whole");
  }
  count(state, task.work, before, machine());
  for (const auto& [name, value] : task.counters) state.counters[name] = value;
}

/// Rates count processor time on one core, which other programs disturb less, and real time elsewhere.
benchmark::internal::Benchmark* with_clock(benchmark::internal::Benchmark* added) {
  return counts_processor_time() ? added : added->UseRealTime();
}

}  // namespace

Deck Deck::from_file(const std::string& path) {
  const auto deck = strait::Deck::from_file(path);
  const auto training = deck.table("training");
  const int sequences = training.optional("micro_batch", 1, "sequences");
  return {.name = std::filesystem::path(path).stem(),
          .model = model::LlamaConfig::from_deck(deck.table("model")),
          .sequences = sequences,
          .micro_batches = training.required<int>("sequences_per_step", "sequences") / sequences};
}

void Suite::add(const std::string& name, const std::function<Task(const ExecutionSpace&)>& make) {
  auto* const added = with_clock(benchmark::RegisterBenchmark(
      name.c_str(),
      [name, make, once = once_](benchmark::State& state) { time(state, prepare(name, make), !once); }));
  added->Unit(benchmark::kMicrosecond);
  if (once_) added->Iterations(1);
}

void Suite::add_experiment(const std::string& name, const std::function<void(benchmark::State&)>& run) {
  with_clock(benchmark::RegisterBenchmark(name.c_str(),
                                          [run](benchmark::State& state) {
                                            clear();
                                            run(state);
                                          }))
      ->Unit(benchmark::kMillisecond)
      ->Iterations(1);
}

Registration::Registration(List list) { lists().push_back(list); }

void register_all(const std::vector<Deck>& decks, bool once) {
  Suite suite(once);
  for (const auto list : lists()) list(suite, decks);
}

void clear() { prepared().reset(); }

}  // namespace strait::perf
