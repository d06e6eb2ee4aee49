#include "strait/core/environment.hpp"

#include "strait/core/kokkos.hpp"

#include <dlfcn.h>
#include <mpi.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <thread>
#include <vector>

namespace strait {

namespace {

/// Ranks and the threads of Kokkos fill the cores; BLAS threads beside them would fight over them. One thread
/// also fixes the order of sums. The setters are looked up by name because the BLAS is whatever the system
/// links.
void use_one_blas_thread() {
  for (const char* name : {"openblas_set_num_threads", "MKL_Set_Num_Threads"}) {
    using Setter = void (*)(int);
    if (const auto setter = reinterpret_cast<Setter>(dlsym(RTLD_DEFAULT, name))) setter(1);
  }
}

/// Takes the options that are Kokkos' own out of the command line. It would read some without its prefix too,
/// and answer --help.
void initialize_kokkos(int& argc, char** argv) {
  char** const end = argv + argc;
  char** const own = std::stable_partition(
      argv + 1, end, [](const char* word) { return !std::string_view(word).starts_with("--kokkos-"); });
  std::vector<char*> words = {argv[0]};
  words.insert(words.end(), own, end);
  int count = static_cast<int>(words.size());
  words.push_back(nullptr);
  Kokkos::initialize(count, words.data());
  *own = nullptr;
  argc = static_cast<int>(own - argv);
}

}  // namespace

Environment::Environment(int& argc, char** argv) {
  int provided = 0;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
  MPI_Comm_size(MPI_COMM_WORLD, &size_);
  initialize_kokkos(argc, argv);
  use_one_blas_thread();
}

Environment::~Environment() {
  Kokkos::finalize();
  MPI_Finalize();
}

void Environment::abort(ExitCode code) const {
  std::fflush(nullptr);
  // Launchers drop what they have not passed on of a rank's last line when it aborts.
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  // MPI adds lines of its own, which would hide the caller's.
  if (!std::freopen("/dev/null", "w", stderr)) std::fclose(stderr);
  MPI_Abort(MPI_COMM_WORLD, static_cast<int>(code));
  std::_Exit(static_cast<int>(code));
}

}  // namespace strait
