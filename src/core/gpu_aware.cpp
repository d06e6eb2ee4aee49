#include "strait/core/gpu_aware.hpp"

#include <dlfcn.h>

namespace strait {

// The functions are looked up by name because not every MPI has them, nor the same header for them.
std::optional<bool> mpi_takes_device_memory() {
  using Query = int (*)();
  if (const auto query = reinterpret_cast<Query>(dlsym(RTLD_DEFAULT, "MPIX_Query_cuda_support"))) {
    return query() != 0;
  }
  using QueryOfKind = int (*)(int kind, int* supported);
  if (const auto query = reinterpret_cast<QueryOfKind>(dlsym(RTLD_DEFAULT, "MPIX_GPU_query_support"))) {
    constexpr int cuda = 0, success = 0;  // MPIX_GPU_SUPPORT_CUDA, MPI_SUCCESS
    int supported = 0;
    return query(cuda, &supported) == success && supported != 0;
  }
  return std::nullopt;
}

}  // namespace strait
