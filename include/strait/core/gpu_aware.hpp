#pragma once
// What the MPI library says of itself about the memory of devices.

#include <optional>

namespace strait {

/// Whether the MPI of this process takes pointers to the memory of CUDA devices, by its own word
/// (MPIX_Query_cuda_support of MPICH, Open MPI and MVAPICH, MPIX_GPU_query_support of Cray MPICH); nothing
/// where it does not say. Libraries that say no crash when they are given such a pointer.
std::optional<bool> mpi_takes_device_memory();

}  // namespace strait
