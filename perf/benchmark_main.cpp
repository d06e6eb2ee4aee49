// The main of every benchmark: Google Benchmark inside MPI and Kokkos.
#include "strait/core/environment.hpp"

#include <benchmark/benchmark.h>

int main(int argc, char** argv) {
  const strait::Environment environment(argc, argv);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
