#pragma once
// Calls of the CUDA runtime that must succeed; empty without CUDA.

#include "strait/core/kokkos.hpp"

#ifdef KOKKOS_ENABLE_CUDA

#include "strait/core/error.hpp"

#include <cuda_runtime.h>

namespace strait {

inline void check_cuda(cudaError_t error) {
  if (error != cudaSuccess) fail(ExitCode::environment, "strait: CUDA: {}", cudaGetErrorString(error));
}

inline bool has_passed(cudaEvent_t event) {
  const cudaError_t state = cudaEventQuery(event);
  if (state == cudaErrorNotReady) return false;
  check_cuda(state);
  return true;
}

}  // namespace strait

#endif  // KOKKOS_ENABLE_CUDA
