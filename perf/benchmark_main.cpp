// All benchmarks in one program:
//
//   strait_benchmark [--decks=FILE,FILE] [Google Benchmark's flags]
//
// The shapes are those of the decks; the default are quickstart and the two of compare_pytorch.py.

#include "strait/core/environment.hpp"
#include "strait/core/version.hpp"

#include "suite.hpp"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <string_view>

namespace strait::perf {
namespace {

constexpr const char* default_decks =
    STRAIT_SOURCE_DIR "/inputs/quickstart.toml," STRAIT_SOURCE_DIR
                      "/perf/compare_small.toml," STRAIT_SOURCE_DIR "/perf/compare_150m.toml";

/// Takes --decks out of the arguments.
std::vector<Deck> decks_from(int& argc, char** argv) {
  constexpr std::string_view flag = "--decks=";
  std::string paths = default_decks;
  char** const end = std::remove_if(argv + 1, argv + argc, [&](const char* word) {
    if (!std::string_view(word).starts_with(flag)) return false;
    paths = std::string_view(word).substr(flag.size());
    return true;
  });
  argc = static_cast<int>(end - argv);
  std::vector<Deck> decks;
  std::istringstream stream(paths);
  for (std::string path; std::getline(stream, path, ',');) decks.push_back(Deck::from_file(path));
  return decks;
}

std::string processor() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown";
}

int run(int argc, char** argv) {
  const Environment environment(argc, argv);
  const auto decks = decks_from(argc, argv);
  register_all(decks);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return static_cast<int>(ExitCode::deck);
  benchmark::AddCustomContext("strait", version() + " (" + git_hash() + ")");
  benchmark::AddCustomContext("processor", processor());
  benchmark::AddCustomContext("compiler", STRAIT_COMPILER);
  benchmark::AddCustomContext("kokkos", kokkos_summary());
  benchmark::AddCustomContext("concurrency", std::to_string(ExecutionSpace().concurrency()));
  benchmark::AddCustomContext("clock", counts_processor_time() ? "processor" : "real");
  benchmark::RunSpecifiedBenchmarks();
  clear();
  benchmark::Shutdown();
  return 0;
}

}  // namespace
}  // namespace strait::perf

int main(int argc, char** argv) {
  try {
    return strait::perf::run(argc, argv);
  } catch (const strait::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return static_cast<int>(error.code());
  }
}
