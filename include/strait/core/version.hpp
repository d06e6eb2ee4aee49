#pragma once
// What this executable is made of, recorded in every output file.

#include <string>

namespace strait {

/// "0.1.0"
std::string version();
/// The commit, with "-dirty" where tracked files differ from it; "unknown" outside a git checkout.
std::string git_hash();
/// "4.5.1 OpenMP"
std::string kokkos_summary();
/// The first line of the MPI library's own name. Works before MPI_Init.
std::string mpi_summary();
/// All of it on one line.
std::string version_summary();

}  // namespace strait
