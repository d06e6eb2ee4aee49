// All benchmarks in one program:
//
//   strait_benchmark [--decks=FILE,FILE] [--once] [Google Benchmark's flags]
//
// The shapes are those of the decks; the default are quickstart and the two of compare_pytorch.py. With
// --once each runs once, to see that it does.

#include "strait/core/environment.hpp"
#include "strait/core/version.hpp"

#include "suite.hpp"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <optional>
#include <sstream>
#include <string_view>

namespace strait::perf {
namespace {

constexpr const char* default_decks =
    STRAIT_SOURCE_DIR "/inputs/quickstart.toml," STRAIT_SOURCE_DIR
                      "/perf/compare_small.toml," STRAIT_SOURCE_DIR "/perf/compare_150m.toml";

/// Takes a flag out of the arguments; what follows its name, if it is there.
std::optional<std::string> take(std::string_view flag, int& argc, char** argv) {
  std::optional<std::string> value;
  char** const end = std::remove_if(argv + 1, argv + argc, [&](const char* word) {
    if (!std::string_view(word).starts_with(flag)) return false;
    value = std::string_view(word).substr(flag.size());
    return true;
  });
  argc = static_cast<int>(end - argv);
  return value;
}

std::vector<Deck> read_decks(const std::string& paths) {
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
  const auto decks = read_decks(take("--decks=", argc, argv).value_or(default_decks));
  register_all(decks, take("--once", argc, argv).has_value());
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
