#include "strait/core/environment.hpp"

#include "strait/core/kokkos.hpp"

#include "cuda_check.hpp"

#include <dlfcn.h>
#include <mpi.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
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

/// Why nothing can be computed here; empty where it can.
std::string missing_device() {
#ifdef KOKKOS_ENABLE_CUDA
  int devices = 0;
  const cudaError_t state = cudaGetDeviceCount(&devices);
  return state == cudaSuccess ? "" : cudaGetErrorString(state);
#else
  return "";
#endif
}

/// Kokkos would abort with a traceback. Here all ranks leave, and the lowest that lacks a device says so.
void require_device(int rank, int size) {
  const std::string missing = missing_device();
  const int mine = missing.empty() ? size : rank;
  int first = size;
  MPI_Allreduce(&mine, &first, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
  if (first == size) return;
  if (rank == first) {
    std::fprintf(stderr, "strait: this build computes on GPUs, and rank %d has none: %s\n", rank,
                 missing.c_str());
  }
  MPI_Finalize();
  std::exit(static_cast<int>(ExitCode::environment));
}

}  // namespace

Environment::Environment(int& argc, char** argv) {
  int provided = 0;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
  MPI_Comm_size(MPI_COMM_WORLD, &size_);
  require_device(rank_, size_);
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
