#pragma once
// How benchmarks are registered, timed and held against the machine. All of them are one program; a file
// perf/<subject>_benchmark.cpp adds its own:
//
//   void list(perf::Suite& suite, const std::vector<perf::Deck>& decks) {
//     for (const auto& deck : decks) {
//       suite.add("swiglu/forward/" + deck.name, [deck](const ExecutionSpace& exec) { return task; });
//     }
//   }
//   const perf::Registration registration(list);
//
// Names are <kernel header or module>/<what>/<shape>, the shape mostly a deck.

#include "strait/core/kokkos.hpp"
#include "strait/model/config.hpp"

#include "roofline.hpp"

#include <benchmark/benchmark.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace strait::perf {

/// The sizes of a real deck, of one micro-batch.
struct Deck {
  std::string name;  ///< of the file
  model::LlamaConfig model;
  int sequences = 1;
  int micro_batches = 1;  ///< of a step

  std::int64_t tokens() const { return std::int64_t{sequences} * model.context; }
  int rank() const { return model.hidden / 4; }  ///< of a projecting boundary

  /// Reads [model] and [training].
  static Deck from_file(const std::string& path);
};

/// What is timed, with all that it works on.
struct Task {
  std::function<void()> run;          ///< is waited for
  Work work = {};                     ///< of one run
  std::function<void()> before = {};  ///< ahead of each run, not timed
  std::map<std::string, double> counters = {};
};

class Suite {
 public:
  /// `once`: each benchmark runs once, and the machine is not timed beside it.
  explicit Suite(bool once) : once_(once) {}

  /// `make` allocates; it is called when the benchmark's turn comes, and all is freed behind it.
  void add(const std::string& name, const std::function<Task(const ExecutionSpace&)>& make);

  /// An experiment that times for itself, once.
  void add_experiment(const std::string& name, const std::function<void(benchmark::State&)>& run);

 private:
  bool once_;
};

/// One per file.
class Registration {
 public:
  using List = void (*)(Suite&, const std::vector<Deck>&);
  explicit Registration(List list);
};

/// Calls the lists of all files.
void register_all(const std::vector<Deck>& decks, bool once);

/// Frees what the last benchmark worked on; before Kokkos ends.
void clear();

}  // namespace strait::perf
